package org.sparkmoe.job.report;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * How many tokens chose two experts together.
 *
 * @param experts E
 * @param counts of the pairs first &lt; second, row after row: E (E − 1) / 2
 */
record Coactivation(int experts, long[] counts) {
  /** Cells that all layers of a page share: about half a megabyte of digits. */
  private static final int MOST_CELLS = 140_000;

  /** A pair of experts and the tokens that chose both. */
  record Pair(int first, int second, long tokens) {}

  static Coactivation of(int experts) {
    return new Coactivation(experts, new long[experts * (experts - 1) / 2]);
  }

  /** The place of the pair {@code first < second} in {@link #counts}. */
  static int index(int experts, int first, int second) {
    return first * (2 * experts - first - 1) / 2 + second - first - 1;
  }

  long tokens(int first, int second) {
    return counts[index(experts, first, second)];
  }

  /** Experts side by side in one cell, so that {@code layers} of them fit into a page. */
  static int expertsPerCell(int experts, int layers) {
    int per = 1;
    while (true) {
      long side = Math.ceilDiv(experts, per);
      if (layers * side * (side + 1) / 2 <= MOST_CELLS || side == 1) {
        return per;
      }
      per *= 2;
    }
  }

  /**
   * The counts by blocks of {@code per} experts, the upper triangle row after row, its diagonal
   * included: the pairs within a block.
   */
  long[] cells(int per) {
    int side = Math.ceilDiv(experts, per);
    long[] cells = new long[side * (side + 1) / 2];
    for (int first = 0, at = 0; first < experts; first++) {
      for (int second = first + 1; second < experts; second++) {
        int row = first / per;
        cells[row * (2 * side - row - 1) / 2 + second / per] += counts[at++];
      }
    }
    return cells;
  }

  /** The {@code n} pairs with the most tokens, most first, and of equal ones the lower ids. */
  List<Pair> strongest(int n) {
    return IntStream.range(0, experts)
        .boxed()
        .flatMap(
            first ->
                IntStream.range(first + 1, experts)
                    .mapToObj(second -> new Pair(first, second, tokens(first, second))))
        .filter(pair -> pair.tokens() > 0)
        .sorted(Comparator.comparingLong(Pair::tokens).reversed())
        .limit(n)
        .toList();
  }

  long total() {
    return Arrays.stream(counts).sum();
  }
}
