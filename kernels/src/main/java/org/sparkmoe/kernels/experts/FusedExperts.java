package org.sparkmoe.kernels.experts;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * All experts of a lane over a batch of dispatched tokens.
 *
 * <p>Every implementation is handed the expert map; one whose layout needs none ignores it.
 * Thread-safe; one workspace per thread.
 */
public sealed interface FusedExperts
    permits StandardExperts, BatchedExperts, FallbackExperts, CudaExperts {

  /**
   * The experts for tokens in the standard format that fit {@code kernel} best.
   *
   * @param weightAndReduce NO_OP to weigh and reduce here; CONTIGUOUS or DELEGATE to leave one row
   *     per assignment
   * @param clock told how long each expert ran
   * @param team shares what the CPU does; no bit depends on it
   */
  static FusedExperts standard(
      ExpertKernel kernel, WeightAndReduce weightAndReduce, ExpertClock clock, Team team) {
    return kernel instanceof CudaExpertKernel cuda
        ? new CudaExperts(cuda, weightAndReduce, clock)
        : new StandardExperts(kernel, weightAndReduce, clock, team);
  }

  /** The format {@link #apply} takes. */
  ActivationFormat activationFormat();

  /** What is left to do with the output. */
  WeightAndReduce weightAndReduce();

  /** Workspace of {@link #apply} for loads up to {@code load}. */
  long workspaceBytes(ExpertLoad load);

  /**
   * Runs each expert over its rows.
   *
   * @param tokens in {@link #activationFormat}
   * @param map the experts here; assignments to others contribute nothing
   * @param bank asked only for experts that have rows
   * @param ws at least {@link #workspaceBytes} free
   * @param out as {@link #weightAndReduce} expects it: tokens × H after NO_OP; assignments × H with
   *     remote rows 0 in the standard format; local experts × maxTokens × H, rows past the counts
   *     untouched, in the batched format. Must not overlap the input.
   * @throws IllegalArgumentException for tokens in the other format
   */
  void apply(
      DispatchedTokens tokens, ExpertMap map, ExpertBank bank, Workspace ws, MemorySegment out);
}
