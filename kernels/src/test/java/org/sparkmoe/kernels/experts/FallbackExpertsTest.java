package org.sparkmoe.kernels.experts;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.tensor.Workspace;

final class FallbackExpertsTest {
  private static final ExpertKernel KERNEL = new ScalarExpertKernel();

  @Test
  void refusesPartsThatDisagree() {
    FusedExperts noOp = new StandardExperts(KERNEL, WeightAndReduce.NO_OP);
    FusedExperts contiguous = new StandardExperts(KERNEL, WeightAndReduce.CONTIGUOUS);
    FusedExperts delegate = new StandardExperts(KERNEL, WeightAndReduce.DELEGATE);
    assertThatThrownBy(() -> new FallbackExperts(noOp, contiguous, tokens -> true))
        .hasMessageContaining("weight-and-reduce of primary is NO_OP, of fallback CONTIGUOUS");
    assertThatThrownBy(
            () -> new FallbackExperts(delegate, new BatchedExperts(KERNEL), tokens -> true))
        .hasMessageContaining("activation format");
  }

  @Test
  void selectsPerCall() {
    List<Integer> asked = new ArrayList<>();
    FusedExperts one = new StandardExperts(KERNEL, WeightAndReduce.CONTIGUOUS);
    FusedExperts other = new StandardExperts(KERNEL, WeightAndReduce.CONTIGUOUS);
    FusedExperts both =
        new FallbackExperts(one, other, tokens -> asked.add(tokens.hidden()) && asked.size() == 1);
    DispatchedTokens none =
        new DispatchedTokens.Standard(
            TokenRoutes.uniform(0, 1, new int[0], new float[0]),
            8,
            MemorySegment.ofArray(new float[0]));
    for (int call = 0; call < 2; call++) {
      both.apply(
          none,
          ExpertMap.all(2),
          id -> {
            throw new AssertionError("no rows, no expert");
          },
          Workspace.ofBytes(0),
          MemorySegment.ofArray(new float[0]));
    }
    assertThat(asked).containsExactly(8, 8);
    assertThat(both.activationFormat()).isEqualTo(ActivationFormat.STANDARD);
    assertThat(both.weightAndReduce()).isEqualTo(WeightAndReduce.CONTIGUOUS);
  }

  @Test
  void workspaceServesEither() {
    ExpertLoad load = new ExpertLoad(10, 8, 4);
    FusedExperts experts = new StandardExperts(KERNEL, WeightAndReduce.NO_OP);
    assertThat(new FallbackExperts(experts, experts, tokens -> true).workspaceBytes(load))
        .isEqualTo(experts.workspaceBytes(load));
  }

  @Test
  void tokensInTheOtherFormatAreRefused() {
    DispatchedTokens batched =
        new DispatchedTokens.Batched(new int[1], 1, 1, MemorySegment.ofArray(new float[1]));
    FusedExperts experts = new StandardExperts(KERNEL, WeightAndReduce.NO_OP);
    assertThatThrownBy(
            () ->
                experts.apply(
                    batched,
                    ExpertMap.all(1),
                    id -> null,
                    Workspace.ofBytes(0),
                    MemorySegment.ofArray(new float[1])))
        .hasMessage("tokens are BATCHED_EXPERTS, these experts take STANDARD");
    assertThatThrownBy(() -> new StandardExperts(KERNEL, WeightAndReduce.NAIVE_BATCHED))
        .hasMessageContaining("reduces the batched format");
  }
}
