package org.sparkmoe.kernels.experts;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.kernels.cuda.Cuda;
import org.sparkmoe.kernels.gemm.ScalarGemm;
import org.sparkmoe.kernels.router.Gating;
import org.sparkmoe.kernels.router.GemmGating;
import org.sparkmoe.kernels.router.GroupLimit;
import org.sparkmoe.kernels.router.Normalization;
import org.sparkmoe.kernels.router.RouterWeights;
import org.sparkmoe.kernels.router.Scoring;
import org.sparkmoe.kernels.router.SparseMixerRule;
import org.sparkmoe.kernels.router.TopKRule;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.kernels.testing.NeedsGpu;
import org.sparkmoe.kernels.testing.RandomTensors;

/** The router on the GPU beside the scalar one: the same ids, and weights to the last place. */
@NeedsGpu
final class CudaGatingTest {
  private record Routed(int[] ids, float[] weights) {}

  static List<TopKRule> rules() {
    GroupLimit best = new GroupLimit(8, 3, GroupLimit.Score.MAX);
    GroupLimit two = new GroupLimit(4, 2, GroupLimit.Score.TOP2_SUM);
    return List.of(
        TopKRule.softmax(1, false),
        TopKRule.softmax(8, true),
        TopKRule.softmax(6, false).withGroups(best).withScalingFactor(16),
        TopKRule.softmaxOverTopK(4),
        TopKRule.sigmoidOnInput(),
        new TopKRule(8, Scoring.SIGMOID, two, new Normalization.Sum(1e-20, 0), 2.5, false),
        new TopKRule(5, Scoring.SIGMOID, null, new Normalization.Sum(0, 1e-12), 1, false),
        new TopKRule(4, Scoring.SOFTMAX, null, new Normalization.Lp(1), 1, false),
        new TopKRule(4, Scoring.SOFTMAX, null, new Normalization.Lp(2), 1, false));
  }

  @ParameterizedTest
  @MethodSource("rules")
  void choosesWhatTheScalarRouterChooses(TopKRule rule) {
    RandomTensors random = new RandomTensors(83);
    for (int experts : new int[] {8, 40, 64, 256, 512}) {
      for (boolean biased : new boolean[] {false, true}) {
        Matrix router = random.matrix(experts, 200, biased ? DType.BF16 : DType.F32);
        RouterWeights weights =
            new RouterWeights(
                router,
                biased ? random.normals(experts, 0.3) : null,
                biased ? random.normals(experts, 0.1) : null);
        for (int tokens : new int[] {0, 1, 67, 2200}) {
          float[] x = random.normals(tokens * 200, 1);
          assertSame(rule, weights, tokens, Activations.f32(MemorySegment.ofArray(x)), random);
        }
      }
    }
  }

  /** Experts with equal rows have equal logits, bit for bit. */
  @ParameterizedTest
  @MethodSource("rules")
  void tiesGoToTheLowerId(TopKRule rule) {
    RandomTensors random = new RandomTensors(89);
    float[] rows = random.normals(64 * 33, 0.2);
    for (int expert = 0; expert < 64; expert++) {
      System.arraycopy(rows, (expert % 5) * 33, rows, expert * 33, 33);
    }
    RouterWeights weights = new RouterWeights(Matrix.of(64, 33, rows), null, null);
    float[] x = random.normals(100 * 33, 1);
    assertSame(rule, weights, 100, Activations.f32(MemorySegment.ofArray(x)), random);
  }

  /** Scores that underflow, overflow, or are no numbers. */
  @ParameterizedTest
  @MethodSource("rules")
  void extremesAreOrderedAsOnTheCpu(TopKRule rule) {
    RandomTensors random = new RandomTensors(97);
    float[] rows = random.normals(64 * 4, 1);
    float[] bias = random.normals(64, 400);
    bias[3] = Float.NaN;
    bias[7] = Float.POSITIVE_INFINITY;
    bias[9] = Float.NEGATIVE_INFINITY;
    float[] x = random.normals(50 * 4, 1);
    for (float[] each : new float[][] {bias, random.normals(64, 2000)}) {
      RouterWeights weights = new RouterWeights(Matrix.of(64, 4, rows), each, null);
      assertSame(rule, weights, 50, Activations.f32(MemorySegment.ofArray(x)), random);
      weights = new RouterWeights(Matrix.of(64, 4, rows), null, each);
      assertSame(rule, weights, 50, Activations.f32(MemorySegment.ofArray(x)), random);
    }
  }

  @Test
  void vectorsMayBeNarrow() {
    RandomTensors random = new RandomTensors(101);
    // Whole sectors of memory, and rows that begin anywhere.
    for (int hidden : new int[] {200, 333, 64, 37}) {
      RouterWeights weights = new RouterWeights(random.matrix(40, hidden, DType.BF16), null, null);
      for (DType type : DType.values()) {
        // Of the narrow ones so many that their tiles fill a GPU.
        for (int tokens : new int[] {5, hidden < 100 ? 13_000 : 2100}) {
          int count = tokens * hidden;
          MemorySegment narrow = MemorySegment.ofArray(new byte[(int) type.bytes(count)]);
          Activations rows = new Activations(narrow, type);
          Activations.f32(MemorySegment.ofArray(random.normals(count, 1))).convert(rows, count);
          assertSame(TopKRule.softmax(4, true), weights, tokens, rows, random);
        }
      }
    }
  }

  @Test
  void whatTheGpuDoesNotRouteIsNamed() {
    assertThat(CudaExpertKernel.routesOnCpu(new SparseMixerRule(0.01f), 8)).hasValue("sparsemixer");
    assertThat(CudaExpertKernel.routesOnCpu(TopKRule.softmax(2, true), 513))
        .hasValue("513 experts, more than 512");
    assertThat(CudaExpertKernel.routesOnCpu(TopKRule.softmax(2, true), 512)).isEmpty();
  }

  private static void assertSame(
      TopKRule rule, RouterWeights weights, int tokens, Activations x, RandomTensors random) {
    int selectable =
        rule.groups()
            .map(groups -> weights.router().rows() / groups.groups() * groups.kept())
            .orElse(weights.router().rows());
    if (rule.topK() > selectable) {
      // A specification like that is refused.
      return;
    }
    try (Arena arena = Arena.ofShared()) {
      Routed expected =
          route(new GemmGating(new ScalarGemm(), rule, weights, arena), rule, tokens, x, arena);
      Routed actual =
          route(new CudaGating(Cuda.gpu(), rule, weights, arena), rule, tokens, x, arena);
      String context =
          "%s, %d experts, %d tokens, %s".formatted(rule, weights.router().rows(), tokens, random);
      assertThat(actual.ids()).as("ids, %s", context).isEqualTo(expected.ids());
      for (int i = 0; i < expected.weights().length; i++) {
        float wanted = expected.weights()[i];
        float got = actual.weights()[i];
        boolean same = Float.compare(got, wanted) == 0;
        assertThat(same || Math.abs((double) got - wanted) <= Math.ulp(wanted))
            .as("weight %d is %s, expected %s, %s", i, got, wanted, context)
            .isTrue();
      }
    }
  }

  private static Routed route(
      Gating gating, TopKRule rule, int tokens, Activations x, Arena arena) {
    Routed routed = new Routed(new int[tokens * rule.topK()], new float[tokens * rule.topK()]);
    Workspace ws = Workspace.offHeap(gating.workspaceBytes(tokens, Team.SOLO), arena);
    gating.route(tokens, x, routed.ids(), routed.weights(), ws, Team.SOLO);
    return routed;
  }
}
