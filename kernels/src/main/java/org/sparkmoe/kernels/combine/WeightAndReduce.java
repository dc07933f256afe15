package org.sparkmoe.kernels.combine;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.permute.TokenPermutation;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Multiplies the outputs of experts by {@code topk_weights} and sums over slots: the only place
 * that does either.
 *
 * <p>The arithmetic is fixed, so that every path gives the same bits: products are rounded to f32
 * and added in f32, in the order of {@link ExpertTree}. No fma. Remote slots are skipped.
 */
public enum WeightAndReduce {
  /** The experts already weighed and summed: rows is tokens × H. */
  NO_OP {
    @Override
    public void apply(Unreduced y, Team team, MemorySegment out) {
      long bytes = DType.F32.bytes((long) y.permutation().routes().tokens() * y.hidden());
      MemorySegment.copy(y.rows(), 0, out, 0, bytes);
    }
  },

  /** Rows is assignments × H, in the order of the assignments. */
  CONTIGUOUS {
    @Override
    public void apply(Unreduced y, Team team, MemorySegment out) {
      BatchSum.apply(y, assignment -> assignment, team, out);
    }
  },

  /** Rows is localExperts × maxTokens × H; an expert's rows are in token order. */
  NAIVE_BATCHED {
    @Override
    public void apply(Unreduced y, Team team, MemorySegment out) {
      BatchSum.apply(y, assignment -> batchedRow(y, assignment), team, out);
    }
  },

  /** Whoever finalizes chooses one of the others. */
  DELEGATE {
    @Override
    public void apply(Unreduced y, Team team, MemorySegment out) {
      throw new UnsupportedOperationException(
          "DELEGATE reduces nothing: finalize has to choose CONTIGUOUS or NAIVE_BATCHED");
    }
  };

  /**
   * Weighs and sums.
   *
   * @param team shares the tokens
   * @param out tokens × H f32, fully written; tokens without a local slot become 0
   */
  public abstract void apply(Unreduced y, Team team, MemorySegment out);

  /** As above, in the calling thread. */
  public final void apply(Unreduced y, MemorySegment out) {
    apply(y, Team.SOLO, out);
  }

  private static long batchedRow(Unreduced y, int assignment) {
    TokenPermutation permutation = y.permutation();
    int local = permutation.local(assignment);
    int position = permutation.row(assignment) - permutation.offset(local);
    return (long) local * y.maxTokens() + position;
  }
}
