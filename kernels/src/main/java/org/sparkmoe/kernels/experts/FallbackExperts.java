package org.sparkmoe.kernels.experts;

import java.lang.foreign.MemorySegment;
import java.util.function.Predicate;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Two implementations and a choice per call. Callers see one: both take the same format and leave
 * the same reduction, and the workspace serves either.
 */
public final class FallbackExperts implements FusedExperts {
  private final FusedExperts primary;
  private final FusedExperts fallback;
  private final Predicate<DispatchedTokens> takesPrimary;

  /**
   * Runs {@code primary} where {@code takesPrimary} says so, else {@code fallback}. The bank handed
   * to {@link #apply} has to hold experts that both can read.
   *
   * @throws IllegalArgumentException where formats or reducers differ
   */
  public FallbackExperts(
      FusedExperts primary, FusedExperts fallback, Predicate<DispatchedTokens> takesPrimary) {
    requireEqual("activation format", primary.activationFormat(), fallback.activationFormat());
    requireEqual("weight-and-reduce", primary.weightAndReduce(), fallback.weightAndReduce());
    this.primary = primary;
    this.fallback = fallback;
    this.takesPrimary = takesPrimary;
  }

  private static void requireEqual(String what, Enum<?> primary, Enum<?> fallback) {
    if (primary != fallback) {
      throw new IllegalArgumentException(
          "%s of primary is %s, of fallback %s: they must be equal"
              .formatted(what, primary, fallback));
    }
  }

  @Override
  public ActivationFormat activationFormat() {
    return primary.activationFormat();
  }

  @Override
  public WeightAndReduce weightAndReduce() {
    return primary.weightAndReduce();
  }

  @Override
  public long workspaceBytes(ExpertLoad load) {
    return Math.max(primary.workspaceBytes(load), fallback.workspaceBytes(load));
  }

  @Override
  public void apply(
      DispatchedTokens tokens, ExpertMap map, ExpertBank bank, Workspace ws, MemorySegment out) {
    (takesPrimary.test(tokens) ? primary : fallback).apply(tokens, map, bank, ws, out);
  }
}
