package org.sparkmoe.datasets.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiConsumer;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.Probes;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.kernels.testing.Rows;

/** Routes and outputs of every fixture against Hugging Face transformers. */
final class FixtureParityTest {
  private static final double OUTPUT_TOLERANCE = 2e-5;
  private static final float WEIGHT_TOLERANCE = 1e-5f;

  private static Stream<Arguments> blocks() {
    return runnable().stream()
        .flatMap(backend -> Fixtures.blocks().stream().map(block -> Arguments.of(backend, block)));
  }

  /** oneDNN is left out only where its library cannot be loaded. */
  private static List<Backend> runnable() {
    return Stream.of(Backend.SCALAR, Backend.VECTOR, Backend.ONEDNN)
        .filter(backend -> Probes.gather(List.of(backend)).refusal(backend).isEmpty())
        .toList();
  }

  @Test
  void coversEveryFixture() {
    assertThat(Fixtures.blocks().stream().map(Fixtures.Block::family).distinct())
        .as("JetMoE's reference holds its router only, see routesAndOutputOfJetMoe")
        .containsExactlyElementsOf(
            Fixtures.families().stream().filter(name -> !name.equals("jetmoe")).toList());
    assertThat(Fixtures.blocks()).hasSize(34);
  }

  @ParameterizedTest
  @MethodSource("blocks")
  void agreesWithTransformers(Backend backend, Fixtures.Block block) {
    try (SafetensorsFile reference = Fixtures.reference(block.family())) {
      float[] input = ReferenceRoutes.floats(reference, block.module() + ".input");
      float[] expected = ReferenceRoutes.floats(reference, block.module() + ".output");
      run(
          backend,
          block,
          input,
          (routes, output) -> {
            ReferenceRoutes.of(reference, block).ifPresent(ids -> assertRoutes(routes, ids));
            Rows.assertClose(output, expected, 64, OUTPUT_TOLERANCE, block);
          });
    }
  }

  /**
   * The output of JetMoE's feed-forward is the difference of two recorded residual streams, so its
   * tolerance is wider: they are larger than their difference.
   */
  @ParameterizedTest
  @MethodSource("runnable")
  void routesAndOutputOfJetMoe(Backend backend) {
    try (SafetensorsFile reference = Fixtures.reference("jetmoe")) {
      for (int layer = 0; layer < 2; layer++) {
        String module = "model.layers." + layer + ".mlp";
        Fixtures.Block block = new Fixtures.Block("jetmoe", layer, module);
        float[] input = ReferenceRoutes.floats(reference, module + ".router.input");
        boolean first = layer == 0;
        run(
            backend,
            block,
            input,
            (routes, output) -> {
              assertRoutes(routes, ReferenceRoutes.of(reference, block).orElseThrow());
              if (first) {
                Rows.assertClose(output, residualDifference(reference), 64, 1e-4, block);
              }
            });
      }
    }
  }

  private static float[] residualDifference(SafetensorsFile reference) {
    float[] before = ReferenceRoutes.floats(reference, "hidden_states.0");
    float[] after = ReferenceRoutes.floats(reference, "hidden_states.1");
    float[] attention = ReferenceRoutes.floats(reference, "model.layers.0.self_attention.output");
    float[] difference = new float[after.length];
    for (int i = 0; i < after.length; i++) {
      difference[i] = (float) ((double) after[i] - before[i] - attention[i]);
    }
    return difference;
  }

  private static void run(
      Backend backend,
      Fixtures.Block block,
      float[] input,
      BiConsumer<List<Map<Integer, Float>>, float[]> check) {
    Configuration conf = new Configuration(false);
    MoeLayer layer =
        Checkpoint.open(Fixtures.folder(block.family()).toString(), conf).layer(block.layer());
    try (Arena arena = Arena.ofShared();
        LayerTensors tensors = layer.open(conf);
        PreparedLayer prepared =
            PreparedLayer.prepare(
                layer.spec(), tensors, ExpertKernel.of(backend), ExpertStore.unbounded())) {
      int tokens = input.length / layer.spec().hidden();
      int topK = layer.spec().topK();
      int[] ids = new int[tokens * topK];
      float[] weights = new float[tokens * topK];
      float[] output = new float[input.length];
      Workspace ws = prepared.kernel().workspace(prepared.workspaceBytes(tokens), arena);
      prepared.route(tokens, MemorySegment.ofArray(input), ids, weights, ws);
      prepared.forward(tokens, MemorySegment.ofArray(input), MemorySegment.ofArray(output), ws);
      check.accept(routes(topK, ids, weights), output);
    }
  }

  private static List<Map<Integer, Float>> routes(int topK, int[] ids, float[] weights) {
    List<Map<Integer, Float>> routes = new ArrayList<>();
    for (int slot = 0; slot < ids.length; slot++) {
      if (slot % topK == 0) {
        routes.add(new TreeMap<>());
      }
      routes.getLast().put(ids[slot], weights[slot]);
    }
    return routes;
  }

  private static void assertRoutes(
      List<Map<Integer, Float>> actual, List<Map<Integer, Float>> expected) {
    assertThat(actual).hasSameSizeAs(expected);
    for (int token = 0; token < expected.size(); token++) {
      Map<Integer, Float> row = actual.get(token);
      String where = "token " + token;
      assertThat(row.keySet()).as("ids of %s", where).isEqualTo(expected.get(token).keySet());
      expected
          .get(token)
          .forEach(
              (id, weight) ->
                  assertThat(row.get(id))
                      .as("weight of expert %d, %s", id, where)
                      .isCloseTo(weight, within(WEIGHT_TOLERANCE * Math.max(1, Math.abs(weight)))));
    }
  }
}
