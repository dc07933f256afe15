package org.sparkmoe.kernels.layer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.experts.ExpertClock;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ExpertLease;
import org.sparkmoe.kernels.experts.PreparedExpert;
import org.sparkmoe.kernels.experts.ScalarExpertKernel;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.quant.LayerPeaks;
import org.sparkmoe.kernels.router.TopKRule;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.store.StoreStatistics;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.kernels.testing.Codecs;
import org.sparkmoe.kernels.testing.HeapLayer;
import org.sparkmoe.kernels.testing.QuantizedTensors;
import org.sparkmoe.kernels.testing.QuantizedTensors.Kind;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.kernels.testing.Rows;

/** What a {@link PreparedLayer} does with any kernel; one subclass per backend. */
abstract class PreparedLayerContract {
  private static final int HIDDEN = 33;
  private static final int EXPERTS = 6;

  abstract ExpertKernel kernel();

  /** Whether it computes weights of {@code kind}. */
  boolean computes(Kind kind) {
    return true;
  }

  /** Whether it quantizes intermediates. */
  boolean quantizesIntermediates() {
    return true;
  }

  /** Relative L2 error of a row that the kernel promises beside quantized weights. */
  double quantizedTolerance() {
    return 1e-5;
  }

  static List<MoeLayerSpec> specs() {
    TopKRule softmax = TopKRule.softmax(2, true);
    return List.of(
        spec(softmax, null),
        spec(TopKRule.softmax(EXPERTS, false), new SharedExpertSpec(40, false)),
        spec(softmax, new SharedExpertSpec(13, true)),
        spec(TopKRule.sigmoidOnInput(), new SharedExpertSpec(13, false)));
  }

  private static MoeLayerSpec spec(TopKRule rule, SharedExpertSpec sharedOrNull) {
    return new MoeLayerSpec(HIDDEN, 21, EXPERTS, rule, Activation.SILU, sharedOrNull);
  }

  @ParameterizedTest
  @MethodSource("specs")
  void computesTheLayer(MoeLayerSpec spec) {
    RandomTensors random = new RandomTensors(41);
    HeapLayer weights = HeapLayer.random(spec, true, DType.F32, random);
    for (int tokens : new int[] {0, 1, 13}) {
      float[] x = random.normals(tokens * HIDDEN, 1);
      float[] out = new float[x.length];
      Arrays.fill(out, Float.NaN);
      ExpertStore store = ExpertStore.unbounded();
      try (Arena arena = Arena.ofShared();
          PreparedLayer layer = PreparedLayer.prepare(spec, weights, kernel(), store)) {
        Workspace ws = layer.kernel().workspace(layer.workspaceBytes(tokens), arena);
        layer.forward(tokens, MemorySegment.ofArray(x), MemorySegment.ofArray(out), ws);
        assertThat(ws.mark()).as("workspace given back").isZero();
      }
      Rows.assertClose(
          out, LayerReference.forward(spec, weights, x), HIDDEN, 1e-5, spec + ", " + random);
    }
  }

  /** The bits of the f32 result, rounded, in the memory that suits the kernel and in any other. */
  @ParameterizedTest
  @EnumSource
  void vectorsTravelAsTheyAre(DType type) {
    RandomTensors random = new RandomTensors(107);
    for (MoeLayerSpec spec : specs()) {
      HeapLayer weights = HeapLayer.random(spec, true, DType.BF16, random);
      int tokens = 70;
      int count = tokens * spec.hidden();
      MemorySegment narrow = MemorySegment.ofArray(new byte[(int) type.bytes(count)]);
      Activations x = new Activations(narrow, type);
      Activations.f32(MemorySegment.ofArray(random.normals(count, 1))).convert(x, count);
      try (Arena arena = Arena.ofShared();
          PreparedLayer layer =
              PreparedLayer.prepare(spec, weights, kernel(), ExpertStore.unbounded())) {
        Workspace ws =
            layer.kernel().workspace(layer.workspaceBytes(tokens, Team.SOLO, type, type), arena);
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

  static List<Kind> kinds() {
    return QuantizedTensors.kinds();
  }

  /** Two specs: a gated shared expert, and router weights on the input. */
  @ParameterizedTest
  @MethodSource("kinds")
  void computesAQuantizedLayer(Kind kind) {
    assumeTrue(computes(kind), kind + " is refused");
    for (MoeLayerSpec spec : specs().subList(2, 4)) {
      RandomTensors random = new RandomTensors(51);
      HeapLayer weights = HeapLayer.random(spec, kind, random);
      float[] x = random.normals(13 * HIDDEN, 1);
      LayerMemory memory =
          LayerMemory.of(
              spec, ExpertFormats.of(kind.format()), ExpertFormats.of(kind.format()), kernel());
      for (int room : new int[] {EXPERTS, 1}) {
        Rows.assertClose(
            run(
                spec,
                weights,
                kernel(),
                LayerCodecs.NONE,
                ExpertStore.ofBytes(memory.least(room)),
                x),
            LayerReference.forward(spec, weights, x),
            HIDDEN,
            quantizedTolerance(),
            kind + ", room for " + room + ", " + spec + ", " + random);
      }
    }
  }

  static List<ActivationCodec> activations() {
    return Codecs.all();
  }

  /** Rows differ from SCALAR's where a value next to a tie goes to the other side. */
  @ParameterizedTest
  @MethodSource("activations")
  void quantizesActivations(ActivationCodec codec) {
    assumeTrue(quantizesIntermediates(), "quantized intermediates are refused");
    Kind kind = kinds().get(1);
    for (MoeLayerSpec spec : specs().subList(2, 4)) {
      RandomTensors random = new RandomTensors(52);
      HeapLayer weights = HeapLayer.random(spec, kind, random);
      float[] x = random.normals(33 * HIDDEN, 1);
      LayerCodecs codecs = new LayerCodecs(codec, codec, codec, codec);
      float[] expected =
          run(spec, weights, new ScalarExpertKernel(), codecs, ExpertStore.unbounded(), x);
      float[] actual = run(spec, weights, kernel(), codecs, ExpertStore.unbounded(), x);
      String context = codec.scheme().label() + ", " + spec + ", " + random;
      Rows.assertClose(actual, expected, HIDDEN, 0.1, context);
      Rows.assertMedianClose(actual, expected, HIDDEN, 1e-5, context);
    }
  }

  private static float[] run(
      MoeLayerSpec spec,
      HeapLayer weights,
      ExpertKernel kernel,
      LayerCodecs codecs,
      ExpertStore store,
      float[] x) {
    float[] out = new float[x.length];
    int tokens = x.length / HIDDEN;
    try (Arena arena = Arena.ofShared();
        PreparedLayer layer = PreparedLayer.prepare(spec, weights, kernel, codecs, store)) {
      Workspace ws = layer.kernel().workspace(layer.workspaceBytes(tokens), arena);
      layer.forward(tokens, MemorySegment.ofArray(x), MemorySegment.ofArray(out), ws);
      assertThat(ws.mark()).as("workspace given back").isZero();
    }
    return out;
  }

  @ParameterizedTest
  @MethodSource("specs")
  void noBitDependsOnTheTeam(MoeLayerSpec spec) {
    RandomTensors random = new RandomTensors(47);
    int tokens = 300;
    float[] x = random.normals(tokens * HIDDEN, 1);
    HeapLayer weights = HeapLayer.random(spec, true, DType.BF16, random);
    long[] rows = new long[2];
    float[][] outs = new float[2][tokens * HIDDEN];
    for (int run = 0; run < 2; run++) {
      int index = run;
      ExpertClock clock =
          (expert, count, computed, nanos) -> {
            rows[index] += count;
            assertThat(computed).as("rows computed").isGreaterThanOrEqualTo(count);
          };
      ExpertStore store = ExpertStore.unbounded();
      try (Arena arena = Arena.ofShared();
          Team team = Team.of(1 + 2 * run);
          PreparedLayer layer = PreparedLayer.prepare(spec, weights, kernel(), store)) {
        Workspace ws = layer.kernel().workspace(layer.workspaceBytes(tokens, team), arena);
        MemorySegment out = MemorySegment.ofArray(outs[run]);
        layer.forward(tokens, MemorySegment.ofArray(x), out, ws, team, clock);
        assertThat(ws.mark()).as("workspace given back").isZero();
      }
    }
    Rows.assertSameBits(outs[1], outs[0], spec + ", " + random);
    assertThat(rows).containsOnly((long) tokens * spec.topK());
  }

  /** Scales for all tokens come from what kernels show to measuring codecs. */
  @ParameterizedTest
  @MethodSource("specs")
  void showsEveryIntermediateToItsCodec(MoeLayerSpec spec) {
    assumeTrue(quantizesIntermediates(), "quantized intermediates are refused");
    RandomTensors random = new RandomTensors(53);
    HeapLayer weights = HeapLayer.random(spec, true, DType.BF16, random);
    int tokens = 70;
    float[] x = random.normals(tokens * HIDDEN, 1);
    LayerPeaks expected = peaks(spec, weights, x, new ScalarExpertKernel());
    LayerPeaks actual = peaks(spec, weights, x, kernel());
    String context = spec + ", " + random;
    assertThat(actual.inner())
        .as(context)
        .isPositive()
        .isCloseTo(expected.inner(), withinPercentage(0.01));
    assertThat(actual.sharedInner())
        .as(context)
        .isCloseTo(expected.sharedInner(), withinPercentage(0.01));
    assertThat(actual.sharedInner() > 0).isEqualTo(spec.shared().isPresent());
  }

  private static LayerPeaks peaks(
      MoeLayerSpec spec, HeapLayer weights, float[] x, ExpertKernel kernel) {
    int tokens = x.length / HIDDEN;
    LayerCodecs measuring =
        new LayerCodecs(
            ActivationCodec.NONE,
            ActivationCodec.measuring(),
            ActivationCodec.NONE,
            ActivationCodec.measuring());
    try (Arena arena = Arena.ofShared();
        PreparedLayer layer =
            PreparedLayer.prepare(spec, weights, kernel, measuring, ExpertStore.unbounded())) {
      Workspace ws = kernel.workspace(layer.workspaceBytes(tokens), arena);
      layer.forward(
          tokens, MemorySegment.ofArray(x), MemorySegment.ofArray(new float[x.length]), ws);
      return layer.codecs().peaks();
    }
  }

  @Test
  void preparesEachExpertOnceForAllThreads() {
    MoeLayerSpec spec = specs().getFirst();
    HeapLayer weights = HeapLayer.random(spec, false, DType.BF16, new RandomTensors(43));
    ExpertStore store = ExpertStore.unbounded();
    try (PreparedLayer layer = PreparedLayer.prepare(spec, weights, kernel(), store)) {
      assertThat(weights.reads()).as("nothing is read before it is needed").isZero();
      List<PreparedExpert> prepared =
          IntStream.range(0, 400).parallel().mapToObj(i -> expert(layer, i % EXPERTS)).toList();
      assertThat(weights.reads()).isEqualTo(EXPERTS);
      assertThat(prepared).doesNotContainNull();
      assertThat(expert(layer, 3)).isSameAs(expert(layer, 3));
    }
  }

  /**
   * Room for one expert, two, half and all of them: the same bits, with fewer and fewer packings.
   */
  @ParameterizedTest
  @MethodSource("specs")
  void computesTheSameBitsWithAnyBudget(MoeLayerSpec spec) {
    RandomTensors random = new RandomTensors(47);
    HeapLayer weights = HeapLayer.random(spec, true, DType.BF16, random);
    LayerMemory memory =
        LayerMemory.of(spec, ExpertFormats.of(DType.BF16), ExpertFormats.of(DType.BF16), kernel());
    float[] x = random.normals(13 * HIDDEN, 1);
    float[] whole = new float[0];
    long packed = 0;
    for (int room : new int[] {EXPERTS, EXPERTS / 2, 2, 1}) {
      ExpertStore store = ExpertStore.ofBytes(memory.least(room));
      float[] out = new float[x.length];
      try (Arena arena = Arena.ofShared();
          PreparedLayer layer = PreparedLayer.prepare(spec, weights, kernel(), store)) {
        Workspace ws = layer.kernel().workspace(layer.workspaceBytes(13), arena);
        layer.forward(13, MemorySegment.ofArray(x), MemorySegment.ofArray(out), ws);
        layer.forward(13, MemorySegment.ofArray(x), MemorySegment.ofArray(out), ws);
      }
      StoreStatistics statistics = store.statistics();
      assertThat(statistics.packed()).as("room for %d", room).isGreaterThanOrEqualTo(packed);
      assertThat(statistics.peakBytes()).isLessThanOrEqualTo(memory.least(room));
      assertThat(statistics.bytes()).as("after closing").isZero();
      packed = statistics.packed();
      whole = room == EXPERTS ? out : whole;
      Rows.assertSameBits(out, whole, "room for " + room + ", " + spec + ", " + random);
    }
    assertThat(packed).as("packings with room for one").isGreaterThan(EXPERTS);
  }

  private static PreparedExpert expert(PreparedLayer layer, int id) {
    try (ExpertLease lease = layer.acquire(id)) {
      return lease.expert();
    }
  }
}
