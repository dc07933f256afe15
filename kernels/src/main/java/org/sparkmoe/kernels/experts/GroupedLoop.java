package org.sparkmoe.kernels.experts;

import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.IntUnaryOperator;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.team.Team;

/**
 * The loop over local experts that every format shares, dealt out to a team in pieces of rows. An
 * expert without rows is not even read.
 */
final class GroupedLoop {
  /**
   * Rows of a piece, at most. Enough that an expert's weights, which are read once per piece, cost
   * little beside the arithmetic; few enough that the buffers stay small and members finish
   * together. A row's result does not depend on the others, so the limit changes no bit.
   */
  private static final int MOST_ROWS = 256;

  /**
   * Rows of a piece, at least, where an expert is split: below, reading its weights twice costs.
   */
  private static final int LEAST_ROWS = 32;

  private GroupedLoop() {}

  /** What is done for one piece. */
  @FunctionalInterface
  interface Body {
    /**
     * Runs {@code expert} over a piece of its rows.
     *
     * @param local number of the expert
     * @param from first row of the piece among the expert's rows
     * @param rows of the piece, at most {@link #pieceRows}
     * @param member of the team
     */
    void run(PreparedExpert expert, int local, int from, int rows, int member);
  }

  /** A piece with its expert, which is given back. */
  @FunctionalInterface
  private interface Lent {
    void run(int piece, ExpertLease lease, int member);
  }

  /** Rows of a piece, at most, where all experts together have {@code rows}. */
  static int pieceRows(int rows, Team team) {
    return team.share(rows, LEAST_ROWS, MOST_ROWS);
  }

  /**
   * Runs all pieces, and then tells {@code clock} of each, in order, from the calling thread. Where
   * tasks share a layer whose experts are not there yet, each of them packs other experts: those
   * that another one packs come last.
   *
   * @param pieceRows at most
   */
  static void run(
      ExpertMap map,
      ExpertBank bank,
      IntUnaryOperator rowsOf,
      int pieceRows,
      Team team,
      ExpertClock clock,
      Body body) {
    Pieces pieces = Pieces.of(map.localExperts(), rowsOf, pieceRows);
    long[] nanos = new long[pieces.count()];
    long[] computed = new long[pieces.count()];
    Queue<Integer> busy = new ConcurrentLinkedQueue<>();
    Lent lent =
        (piece, lease, member) -> {
          int rows = pieces.rows()[piece];
          try (lease) {
            long started = System.nanoTime();
            body.run(lease.expert(), pieces.local()[piece], pieces.from()[piece], rows, member);
            nanos[piece] = System.nanoTime() - started;
            computed[piece] = lease.expert().computedRows(rows);
          }
        };
    team.run(
        pieces.count(),
        (piece, member) ->
            bank.acquireUnlessPacking(pieces.expert(map, piece))
                .ifPresentOrElse(lease -> lent.run(piece, lease, member), () -> busy.add(piece)));
    int[] last = busy.stream().mapToInt(Integer::intValue).toArray();
    team.run(
        last.length,
        (item, member) ->
            lent.run(last[item], bank.acquire(pieces.expert(map, last[item])), member));
    for (int piece = 0; piece < pieces.count(); piece++) {
      clock.ran(pieces.expert(map, piece), pieces.rows()[piece], computed[piece], nanos[piece]);
    }
  }

  /** Pieces by number: expert, first row and rows, in the order of the experts. */
  private record Pieces(int[] local, int[] from, int[] rows) {
    static Pieces of(int localExperts, IntUnaryOperator rowsOf, int pieceRows) {
      int count = 0;
      for (int expert = 0; expert < localExperts; expert++) {
        count += Math.ceilDiv(rowsOf.applyAsInt(expert), Math.max(1, pieceRows));
      }
      int[] local = new int[count];
      int[] from = new int[count];
      int[] rows = new int[count];
      int piece = 0;
      for (int expert = 0; expert < localExperts; expert++) {
        for (int row = 0; row < rowsOf.applyAsInt(expert); row += pieceRows) {
          local[piece] = expert;
          from[piece] = row;
          rows[piece++] = Math.min(pieceRows, rowsOf.applyAsInt(expert) - row);
        }
      }
      return new Pieces(local, from, rows);
    }

    /** The global id of a piece's expert. */
    int expert(ExpertMap map, int piece) {
      return map.global(local[piece]);
    }

    int count() {
      return local.length;
    }
  }
}
