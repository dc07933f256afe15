package org.sparkmoe.kernels.combine;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.function.IntToLongFunction;
import org.sparkmoe.kernels.permute.TokenPermutation;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.DType;

/** {@code out[t] = Σ_slots weight · rows[rowOf(assignment)]}. */
final class SlotSum {
  /** Tokens that one member of a team sums at a time, at most. */
  private static final int MOST_TOKENS = 256;

  private SlotSum() {}

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
    float[] sum = new float[y.hidden()];
    float[] row = new float[y.hidden()];
    for (int token = fromToken; token < toToken; token++) {
      Arrays.fill(sum, 0);
      for (int a = routes.offsets()[token]; a < routes.offsets()[token + 1]; a++) {
        if (permutation.row(a) != TokenPermutation.DROPPED) {
          long from = DType.F32.bytes(rowOf.applyAsLong(a) * y.hidden());
          MemorySegment.copy(y.rows(), DType.LE_FLOAT, from, row, 0, row.length);
          addWeighted(sum, row, routes.weights()[a]);
        }
      }
      MemorySegment.copy(
          sum, 0, out, DType.LE_FLOAT, DType.F32.bytes((long) token * sum.length), sum.length);
    }
  }

  private static void addWeighted(float[] sum, float[] row, float weight) {
    for (int h = 0; h < sum.length; h++) {
      sum[h] += weight * row[h];
    }
  }
}
