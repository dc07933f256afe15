package org.sparkmoe.kernels.experts;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiFunction;
import java.util.stream.IntStream;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.kernels.permute.TokenPermutation;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.testing.QuantizedTensors;
import org.sparkmoe.kernels.testing.RandomTensors;

/** Batches of tokens for {@link FusedExpertsContract}, with their outputs from the definition. */
final class FusedExpertsFixture {
  private FusedExpertsFixture() {}

  record Case(
      String name,
      int hidden,
      int intermediate,
      TokenRoutes routes,
      ExpertMap map,
      float[] x,
      List<ExpertWeights> weights) {

    WeightFormat format() {
      return weights.getFirst().w1().format();
    }

    int tokens() {
      return routes.tokens();
    }

    int assignments() {
      return routes.assignments();
    }

    ExpertWeights expert(int id) {
      return weights.get(id);
    }

    TokenPermutation permutation() {
      return TokenPermutation.of(routes, map);
    }

    /** Room for every token at every expert and one row to spare. */
    int maxTokens() {
      return tokens() + 1;
    }

    DispatchedTokens.Standard standard() {
      return new DispatchedTokens.Standard(routes, hidden, MemorySegment.ofArray(x));
    }

    DispatchedTokens.Batched batched() {
      float[] blocks = new float[map.localExperts() * maxTokens() * hidden];
      Arrays.fill(blocks, Float.NaN);
      return DispatchedTokens.Batched.pack(
          standard(),
          permutation(),
          map.localExperts(),
          maxTokens(),
          MemorySegment.ofArray(blocks));
    }

    /** {@code Σ_slots w · expert(x)}, token by token. */
    float[] expected(BiFunction<ExpertWeights, float[], float[]> expert) {
      float[] out = new float[x.length];
      for (int token = 0; token < tokens(); token++) {
        float[] row = Arrays.copyOfRange(x, token * hidden, (token + 1) * hidden);
        for (int a = routes.offsets()[token]; a < routes.offsets()[token + 1]; a++) {
          int id = routes.expertIds()[a];
          if (map.local(id) != ExpertMap.REMOTE) {
            float[] y = expert.apply(weights.get(id), row);
            for (int h = 0; h < hidden; h++) {
              out[token * hidden + h] += routes.weights()[a] * y[h];
            }
          }
        }
      }
      return out;
    }

    @Override
    public String toString() {
      return name;
    }
  }

  static List<Case> cases() {
    return List.of(
        uniform("no tokens", 0, 2, 4, 1),
        uniform("one token, k = E", 1, 5, 5, 1),
        uniform("odd sizes", 13, 2, 7, 1),
        uniform("one lane of three", 33, 3, 8, 3),
        uniform("more lanes than experts", 5, 2, 3, 4),
        many("all of many experts", 9, 8, 20, ExpertMap.all(64)),
        many("all of many experts, odd width", 9, 8, 21, ExpertMap.all(64)),
        many("a third of many experts", 9, 8, 20, ExpertPlacement.roundRobin(64, 3).map(1)),
        many("more slots than a warp has lanes", 3, 40, 20, ExpertMap.all(70)),
        allToOneExpert(),
        allToOneExpertBeyondOneGather(),
        ragged());
  }

  /** Odd sizes, for every kind of quantized weight. */
  static List<Case> quantized() {
    RandomTensors random = new RandomTensors(8);
    TokenRoutes routes =
        TokenRoutes.uniform(13, 2, random.expertIds(13, 2, 5), random.normals(26, 1));
    ExpertMap map = ExpertPlacement.linear(5, 2).map(1);
    float[] x = random.normals(13 * 70, 1);
    return QuantizedTensors.kinds().stream()
        .map(
            kind -> {
              List<ExpertWeights> weights =
                  IntStream.range(0, 5)
                      .mapToObj(id -> QuantizedTensors.expert(70, 45, false, kind, random))
                      .toList();
              return new Case(kind + ", " + random, 70, 45, routes, map, x, weights);
            })
        .toList();
  }

  private static Case uniform(String name, int tokens, int k, int experts, int lanes) {
    RandomTensors random = new RandomTensors(tokens * 7L + experts);
    int[] ids = random.expertIds(tokens, k, experts);
    TokenRoutes routes = TokenRoutes.uniform(tokens, k, ids, random.normals(tokens * k, 1));
    ExpertMap map = ExpertPlacement.linear(experts, lanes).map(lanes - 1);
    return build(name, 33, 21, routes, map, random);
  }

  private static Case many(String name, int tokens, int k, int hidden, ExpertMap map) {
    RandomTensors random = new RandomTensors(map.localExperts());
    int[] ids = random.expertIds(tokens, k, map.experts());
    TokenRoutes routes = TokenRoutes.uniform(tokens, k, ids, random.normals(tokens * k, 1));
    return build(name, hidden, 6, routes, map, random);
  }

  private static Case allToOneExpert() {
    RandomTensors random = new RandomTensors(3);
    int[] ids = new int[20];
    Arrays.fill(ids, 2);
    TokenRoutes routes = TokenRoutes.uniform(20, 1, ids, random.normals(20, 1));
    return build("all to one expert", 16, 9, routes, ExpertMap.all(4), random);
  }

  private static Case allToOneExpertBeyondOneGather() {
    RandomTensors random = new RandomTensors(4);
    TokenRoutes routes = TokenRoutes.uniform(1030, 1, new int[1030], random.normals(1030, 1));
    return build("1030 rows for one expert", 5, 3, routes, ExpertMap.all(1), random);
  }

  private static Case ragged() {
    RandomTensors random = new RandomTensors(6);
    int[] offsets = {0, 2, 2, 3, 6};
    int[] ids = {3, 0, 1, -1, 0, 9};
    TokenRoutes routes = new TokenRoutes(4, offsets, ids, random.normals(6, 1));
    return build("ragged", 13, 33, routes, ExpertMap.of(4, new int[] {3, 0}), random);
  }

  private static Case build(
      String name,
      int hidden,
      int intermediate,
      TokenRoutes routes,
      ExpertMap map,
      RandomTensors random) {
    List<ExpertWeights> weights =
        IntStream.range(0, map.experts())
            .mapToObj(id -> random.expert(hidden, intermediate, true, false, DType.BF16))
            .toList();
    float[] x = random.normals(routes.tokens() * hidden, 1);
    return new Case(name + ", " + random, hidden, intermediate, routes, map, x, weights);
  }
}
