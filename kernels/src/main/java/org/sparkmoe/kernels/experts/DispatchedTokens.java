package org.sparkmoe.kernels.experts;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.permute.TokenPermutation;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.tensor.DType;

/** The rows that reached a lane. */
public sealed interface DispatchedTokens {

  /** How the rows lie. */
  ActivationFormat format();

  /** H. */
  int hidden();

  /**
   * Each token once, however many experts it goes to.
   *
   * @param routes of the tokens, in the order of the rows
   * @param hidden H
   * @param x tokens × H f32
   */
  record Standard(TokenRoutes routes, int hidden, MemorySegment x) implements DispatchedTokens {
    @Override
    public ActivationFormat format() {
      return ActivationFormat.STANDARD;
    }
  }

  /**
   * Each assignment in the block of its expert.
   *
   * @param expertNumTokens valid rows per local expert, each 0 to maxTokens
   * @param maxTokens rows a block has room for
   * @param hidden H
   * @param x local experts × maxTokens × H f32
   */
  record Batched(int[] expertNumTokens, int maxTokens, int hidden, MemorySegment x)
      implements DispatchedTokens {

    public Batched {
      for (int local = 0; local < expertNumTokens.length; local++) {
        if (expertNumTokens[local] < 0 || expertNumTokens[local] > maxTokens) {
          throw new IllegalArgumentException(
              "local expert %d has %d tokens, its block has room for %d"
                  .formatted(local, expertNumTokens[local], maxTokens));
        }
      }
    }

    /**
     * Copies the rows of {@code tokens} into blocks, in token order.
     *
     * @param permutation of the routes of {@code tokens}
     * @param localExperts of the map that {@code permutation} was made with
     * @param x receives local experts × maxTokens × H f32; rows past a count stay as they are
     */
    public static Batched pack(
        Standard tokens,
        TokenPermutation permutation,
        int localExperts,
        int maxTokens,
        MemorySegment x) {
      int[] counts = new int[localExperts];
      for (int local = 0; local < localExperts; local++) {
        counts[local] = permutation.rows(local);
      }
      Batched batched = new Batched(counts, maxTokens, tokens.hidden(), x);
      long rowBytes = DType.F32.bytes(tokens.hidden());
      for (int local = 0; local < localExperts; local++) {
        for (int i = 0; i < counts[local]; i++) {
          long from = permutation.token(permutation.offset(local) + i) * rowBytes;
          MemorySegment.copy(
              tokens.x(), from, x, ((long) local * maxTokens + i) * rowBytes, rowBytes);
        }
      }
      return batched;
    }

    @Override
    public ActivationFormat format() {
      return ActivationFormat.BATCHED_EXPERTS;
    }
  }
}
