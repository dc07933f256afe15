package org.sparkmoe.kernels.layer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.experts.CudaExpertKernel;
import org.sparkmoe.kernels.experts.DispatchedTokens;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ExpertLoad;
import org.sparkmoe.kernels.experts.StandardExperts;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.router.TopKRule;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.kernels.testing.HeapLayer;
import org.sparkmoe.kernels.testing.NeedsGpu;
import org.sparkmoe.kernels.testing.QuantizedTensors;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.kernels.testing.Rows;

@NeedsGpu
final class CudaPreparedLayerTest extends PreparedLayerContract {
  @Override
  ExpertKernel kernel() {
    return new CudaExpertKernel();
  }

  @Override
  boolean computes(QuantizedTensors.Kind kind) {
    return Backend.CUDA.refusal(kind.format()).isEmpty();
  }

  @Override
  boolean quantizesIntermediates() {
    return false;
  }

  /** Weights, rows and intermediates are bf16 then, which sums of 33 values hardly average out. */
  @Override
  double quantizedTolerance() {
    return 2e-2;
  }

  private static final int WIDTH = 64;
  private static final int TOKENS = 20_000;

  private static final MoeLayerSpec WIDE =
      new MoeLayerSpec(WIDTH, 96, 40, TopKRule.softmax(4, true), Activation.SILU, null);

  /**
   * Three columns in either product, of which tiles of few rows take two at a time, and so many
   * tiles that clusters take several; its inner product gathers its rows.
   */
  private static final MoeLayerSpec COLUMNS =
      new MoeLayerSpec(600, 300, 40, TopKRule.softmax(4, true), Activation.SILU, null);

  /** As {@link #COLUMNS}, with rows that are copied in order before. */
  private static final MoeLayerSpec ORDERED =
      new MoeLayerSpec(320, 1100, 12, TopKRule.softmax(2, true), Activation.SILU, null);

  static List<Arguments> layers() {
    return List.of(
        Arguments.of(WIDE, TOKENS), Arguments.of(COLUMNS, 3_500), Arguments.of(ORDERED, 1_600));
  }

  /** Sorted on the GPU, several batches under way: the bits of rows that the CPU sorted. */
  @ParameterizedTest
  @MethodSource("layers")
  void batchesUnderWayHaveTheBitsOfExpertsOneByOne(MoeLayerSpec spec, int tokens) {
    RandomTensors random = new RandomTensors(103);
    HeapLayer weights = HeapLayer.random(spec, false, DType.BF16, random);
    float[] x = random.normals(tokens * spec.hidden(), 1);
    float[] out = new float[x.length];
    float[] expected = new float[x.length];
    int[] ids = new int[tokens * spec.topK()];
    float[] topkWeights = new float[ids.length];
    try (Arena arena = Arena.ofShared();
        PreparedLayer layer =
            PreparedLayer.prepare(spec, weights, kernel(), ExpertStore.unbounded())) {
      Workspace ws = Workspace.ofBytes(layer.workspaceBytes(tokens));
      layer.forward(tokens, MemorySegment.ofArray(x), MemorySegment.ofArray(out), ws);
      layer.route(tokens, MemorySegment.ofArray(x), ids, topkWeights, ws);
      StandardExperts single = new StandardExperts(layer.kernel(), WeightAndReduce.NO_OP);
      ExpertLoad load = new ExpertLoad(ids.length, spec.hidden(), spec.intermediate());
      Workspace more = layer.kernel().workspace(single.workspaceBytes(load), arena);
      single.apply(
          new DispatchedTokens.Standard(
              TokenRoutes.uniform(tokens, spec.topK(), ids, topkWeights),
              spec.hidden(),
              MemorySegment.ofArray(x)),
          ExpertMap.all(spec.experts()),
          layer,
          more,
          MemorySegment.ofArray(expected));
    }
    Rows.assertSameBits(out, expected, random);
  }

  /** Each thread has several batches under way, and there are fewer lanes than threads. */
  @Test
  void threadsWithSeveralBatchesShareTheLanes() {
    RandomTensors random = new RandomTensors(109);
    HeapLayer weights = HeapLayer.random(WIDE, false, DType.BF16, random);
    float[] x = random.normals(TOKENS * WIDTH, 1);
    for (int room : new int[] {40, 9}) {
      LayerMemory memory =
          LayerMemory.of(
              WIDE, ExpertFormats.of(DType.BF16), ExpertFormats.of(DType.BF16), kernel());
      ExpertStore store = ExpertStore.ofBytes(memory.least(room));
      try (PreparedLayer layer = PreparedLayer.prepare(WIDE, weights, kernel(), store)) {
        float[] expected = forward(layer, x);
        IntStream.range(0, 12)
            .parallel()
            .forEach(i -> Rows.assertSameBits(forward(layer, x), expected, random));
      }
    }
  }

  private static float[] forward(PreparedLayer layer, float[] x) {
    float[] out = new float[x.length];
    layer.forward(
        TOKENS,
        MemorySegment.ofArray(x),
        MemorySegment.ofArray(out),
        Workspace.ofBytes(layer.workspaceBytes(TOKENS)));
    return out;
  }
}
