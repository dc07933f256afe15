package org.sparkmoe.kernels.combine;

import java.lang.foreign.MemorySegment;
import java.util.function.IntToLongFunction;
import org.sparkmoe.kernels.permute.TokenPermutation;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.team.Team;

/** {@code out[t] = Σ_slots weight · rows[rowOf(assignment)]}, in the order of {@link TokenSum}. */
final class BatchSum {
  /** Tokens that one member of a team sums at a time, at most. */
  private static final int MOST_TOKENS = 256;

  private BatchSum() {}

  static void apply(Unreduced y, IntToLongFunction rowOf, Team team, MemorySegment out) {
    int tokens = y.permutation().routes().tokens();
    team.stretches(
        tokens,
        team.share(tokens, 1, MOST_TOKENS),
        (from, to, member) -> sum(y, rowOf, from, to, out));
  }

  private static void sum(
      Unreduced y, IntToLongFunction rowOf, int fromToken, int toToken, MemorySegment out) {
    TokenPermutation permutation = y.permutation();
    TokenRoutes routes = permutation.routes();
    TokenSum sum = new TokenSum(y.hidden());
    for (int token = fromToken; token < toToken; token++) {
      sum.clear();
      for (int a = routes.offsets()[token]; a < routes.offsets()[token + 1]; a++) {
        if (permutation.row(a) != TokenPermutation.DROPPED) {
          sum.add(routes.expertIds()[a], routes.weights()[a], y.rows(), rowOf.applyAsLong(a));
        }
      }
      sum.store(out, token);
    }
  }
}
