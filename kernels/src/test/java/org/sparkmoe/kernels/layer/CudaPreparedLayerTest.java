package org.sparkmoe.kernels.layer;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.experts.CudaExpertKernel;
import org.sparkmoe.kernels.experts.DispatchedTokens;
import org.sparkmoe.kernels.experts.ExpertClock;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ExpertLoad;
import org.sparkmoe.kernels.experts.StandardExperts;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.router.TopKRule;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.Activations;
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

  /** Sorted on the GPU, several batches under way: the bits of rows that the CPU sorted. */
  @Test
  void batchesUnderWayHaveTheBitsOfExpertsOneByOne() {
    RandomTensors random = new RandomTensors(103);
    HeapLayer weights = HeapLayer.random(WIDE, false, DType.BF16, random);
    float[] x = random.normals(TOKENS * WIDTH, 1);
    float[] out = new float[x.length];
    float[] expected = new float[x.length];
    int[] ids = new int[TOKENS * WIDE.topK()];
    float[] topkWeights = new float[ids.length];
    try (Arena arena = Arena.ofShared();
        PreparedLayer layer =
            PreparedLayer.prepare(WIDE, weights, kernel(), ExpertStore.unbounded())) {
      Workspace ws = Workspace.ofBytes(layer.workspaceBytes(TOKENS));
      layer.forward(TOKENS, MemorySegment.ofArray(x), MemorySegment.ofArray(out), ws);
      layer.route(TOKENS, MemorySegment.ofArray(x), ids, topkWeights, ws);
      StandardExperts single = new StandardExperts(layer.kernel(), WeightAndReduce.NO_OP);
      Workspace more =
          layer
              .kernel()
              .workspace(single.workspaceBytes(new ExpertLoad(ids.length, WIDTH, 96)), arena);
      single.apply(
          new DispatchedTokens.Standard(
              TokenRoutes.uniform(TOKENS, WIDE.topK(), ids, topkWeights),
              WIDTH,
              MemorySegment.ofArray(x)),
          ExpertMap.all(40),
          layer,
          more,
          MemorySegment.ofArray(expected));
    }
    Rows.assertSameBits(out, expected, random);
  }

  /** The bits of the f32 result, rounded; page-locked memory and arrays alike. */
  @ParameterizedTest
  @EnumSource
  void vectorsTravelAsTheyAre(DType type) {
    RandomTensors random = new RandomTensors(107);
    for (MoeLayerSpec spec : specs()) {
      HeapLayer weights = HeapLayer.random(spec, true, DType.BF16, random);
      int tokens = 700;
      int count = tokens * spec.hidden();
      MemorySegment narrow = MemorySegment.ofArray(new byte[(int) type.bytes(count)]);
      Activations x = new Activations(narrow, type);
      Activations.f32(MemorySegment.ofArray(random.normals(count, 1))).convert(x, count);
      try (Arena arena = Arena.ofShared();
          PreparedLayer layer =
              PreparedLayer.prepare(spec, weights, kernel(), ExpertStore.unbounded())) {
        Workspace ws = Workspace.ofBytes(layer.workspaceBytes(tokens, Team.SOLO, type, type));
        MemorySegment wide = arena.allocate(DType.F32.bytes(count));
        x.convert(Activations.f32(wide), count);
        Activations result = Activations.f32(arena.allocate(DType.F32.bytes(count)));
        layer.forward(tokens, wide, result.data(), ws);
        Activations expected =
            new Activations(MemorySegment.ofArray(new byte[(int) type.bytes(count)]), type);
        result.convert(expected, count);
        MemorySegment pinned = layer.kernel().memory(type.bytes(count), 64, arena);
        for (MemorySegment to : new MemorySegment[] {pinned, arena.allocate(type.bytes(count))}) {
          Activations out = new Activations(to.fill((byte) 0x55), type);
          layer.forward(tokens, x, out, ws, Team.SOLO, ExpertClock.NONE);
          assertThat(out.data().mismatch(expected.data())).as("%s, %s", spec, type).isEqualTo(-1);
        }
        assertThat(ws.mark()).as("workspace given back").isZero();
      }
    }
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
