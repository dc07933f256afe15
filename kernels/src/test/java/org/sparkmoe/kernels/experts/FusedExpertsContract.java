package org.sparkmoe.kernels.experts;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.kernels.combine.Unreduced;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.experts.FusedExpertsFixture.Case;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenPermutation;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.kernels.testing.Rows;

/** What all {@link FusedExperts} do over any {@link ExpertKernel}; one subclass per backend. */
abstract class FusedExpertsContract {

  abstract ExpertKernel kernel();

  /** Whether it computes weights stored as {@code format}. */
  boolean computes(WeightFormat format) {
    return true;
  }

  /** Relative L2 error of a row that the kernel promises. */
  double tolerance() {
    return 1e-5;
  }

  /** What an expert makes of one row, exactly, but for what the kernel rounds. */
  float[] expert(ExpertWeights weights, float[] row) {
    return ExpertKernelContract.forward(new ScalarExpertKernel(), weights, Activation.SILU, row);
  }

  static List<Case> cases() {
    return FusedExpertsFixture.cases();
  }

  static List<Case> quantized() {
    return FusedExpertsFixture.quantized();
  }

  @ParameterizedTest
  @MethodSource({"cases", "quantized"})
  void standardExpertsWeighAndReduce(Case c) {
    assumeTrue(computes(c.format()), c + " is refused");
    FusedExperts experts = new StandardExperts(kernel(), WeightAndReduce.NO_OP);
    float[] out = new float[c.tokens() * c.hidden()];
    Arrays.fill(out, Float.NaN);
    apply(experts, c, out);
    Rows.assertClose(out, c.expected(this::expert), c.hidden(), tolerance(), c);
  }

  @ParameterizedTest
  @MethodSource({"cases", "quantized"})
  void everyPathGivesTheSameBits(Case c) {
    assumeTrue(computes(c.format()), c + " is refused");
    float[] reduced = new float[c.tokens() * c.hidden()];
    apply(new StandardExperts(kernel(), WeightAndReduce.NO_OP), c, reduced);

    for (WeightAndReduce kind : List.of(WeightAndReduce.NO_OP, WeightAndReduce.CONTIGUOUS)) {
      float[] best =
          new float[(kind == WeightAndReduce.NO_OP ? c.tokens() : c.assignments()) * c.hidden()];
      Arrays.fill(best, Float.NaN);
      apply(FusedExperts.standard(kernel(), kind, ExpertClock.NONE, Team.SOLO), c, best);
      Rows.assertSameBits(reduce(kind, best, c), reduced, c);
    }

    float[] rows = new float[c.assignments() * c.hidden()];
    apply(new StandardExperts(kernel(), WeightAndReduce.CONTIGUOUS), c, rows);
    Rows.assertSameBits(reduce(WeightAndReduce.CONTIGUOUS, rows, c), reduced, c);

    float[] blocks = new float[c.map().localExperts() * c.maxTokens() * c.hidden()];
    apply(new BatchedExperts(kernel()), c, blocks);
    Rows.assertSameBits(reduce(WeightAndReduce.NAIVE_BATCHED, blocks, c), reduced, c);

    try (Team team = Team.of(3)) {
      float[] shared = new float[c.tokens() * c.hidden()];
      var clock = ExpertClock.NONE;
      apply(new StandardExperts(kernel(), WeightAndReduce.NO_OP, clock, team), c, shared);
      Rows.assertSameBits(shared, reduced, c);
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void remoteRowsAreZero(Case c) {
    float[] rows = new float[c.assignments() * c.hidden()];
    Arrays.fill(rows, Float.NaN);
    apply(new StandardExperts(kernel(), WeightAndReduce.DELEGATE), c, rows);
    for (int a = 0; a < c.assignments(); a++) {
      if (c.map().local(c.routes().expertIds()[a]) == ExpertMap.REMOTE) {
        Rows.assertSameBits(Rows.row(rows, c.hidden(), a), new float[c.hidden()], c);
      }
    }
    assertThat(rows).as("%s", c).doesNotContain(Float.NaN);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void blocksAreUntouchedPastTheirCounts(Case c) {
    float[] blocks = new float[c.map().localExperts() * c.maxTokens() * c.hidden()];
    Arrays.fill(blocks, -77);
    apply(new BatchedExperts(kernel()), c, blocks);
    TokenPermutation permutation = c.permutation();
    float[] untouched = new float[c.hidden()];
    Arrays.fill(untouched, -77);
    for (int local = 0; local < c.map().localExperts(); local++) {
      for (int row = permutation.rows(local); row < c.maxTokens(); row++) {
        Rows.assertSameBits(
            Rows.row(blocks, c.hidden(), local * c.maxTokens() + row), untouched, c);
      }
    }
  }

  private void apply(FusedExperts experts, Case c, float[] out) {
    try (Arena arena = Arena.ofShared()) {
      boolean batched = experts.activationFormat() == ActivationFormat.BATCHED_EXPERTS;
      int rows = batched ? c.maxTokens() : c.assignments();
      ExpertLoad load = new ExpertLoad(rows, c.hidden(), c.intermediate());
      Workspace ws = kernel().workspace(experts.workspaceBytes(load), arena);
      Map<Integer, ExpertLease> prepared = new ConcurrentHashMap<>();
      ExpertBank bank =
          id -> {
            assertThat(c.map().local(id)).as("only local experts are read").isNotNegative();
            return prepared.computeIfAbsent(
                id, i -> ExpertLease.of(kernel().prepare(c.expert(i), Activation.SILU, arena)));
          };
      experts.apply(
          batched ? c.batched() : c.standard(), c.map(), bank, ws, MemorySegment.ofArray(out));
      assertThat(ws.mark()).as("workspace given back").isZero();
    }
  }

  private static float[] reduce(WeightAndReduce reducer, float[] rows, Case c) {
    float[] out = new float[c.tokens() * c.hidden()];
    reducer.apply(
        new Unreduced(MemorySegment.ofArray(rows), c.hidden(), c.permutation(), c.maxTokens()),
        MemorySegment.ofArray(out));
    return out;
  }
}
