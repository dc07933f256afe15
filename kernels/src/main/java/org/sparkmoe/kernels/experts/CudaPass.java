package org.sparkmoe.kernels.experts;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import org.sparkmoe.kernels.cuda.Gpu;
import org.sparkmoe.kernels.cuda.Lane;
import org.sparkmoe.kernels.permute.ExpertMap;

/**
 * Tokens through experts on a GPU, in batches: while one is computed, the next arrives and is
 * sorted there, and the result of the one before leaves.
 *
 * <p>Where experts have to be fetched first, those that are there run first, in groups of which no
 * more than two are on loan; the next experts arrive while a group is computed.
 */
final class CudaPass {
  /** Rows that fill the GPU: more only where there are very many experts. */
  private static final int MOST_ROWS = 1 << 16;

  /** Below, the products of a batch cost more than what copying beside them gains. */
  private static final int LEAST_ROWS = 1 << 14;

  /** Two tiles: with fewer, too many of their rows are empty. */
  private static final int LEAST_ROWS_OF_EXPERT = 512;

  /** The first arrives and the last leaves while nothing is computed. */
  private static final int BATCHES = 6;

  /** Groups that share the experts which are there: two run, and the others can go for new ones. */
  private static final int GROUPS = 3;

  private final Gpu gpu;
  private final ExpertMap map;
  private final ExpertBank bank;
  private final Source source;
  private final List<CudaBatch> all = new ArrayList<>();
  private final Deque<CudaBatch> underWay = new ArrayDeque<>();

  /** Where tokens and routes come from, and where the result goes. */
  interface Source {
    /** Tokens of all batches. */
    int tokens();

    /** Assignments of the tokens before {@code token}. */
    long assignmentsBefore(int token);

    /** Brings tokens {@code from} to {@code to} − 1, and where each goes. */
    void load(Lane lane, int from, int to);

    /** Says what becomes of their rows. */
    void collect(Lane lane, int from, int to);
  }

  CudaPass(Gpu gpu, ExpertMap map, ExpertBank bank, Source source) {
    this.gpu = gpu;
    this.map = map;
    this.bank = bank;
    this.source = source;
  }

  /**
   * Computes everything, and then tells {@code clock} of each expert in each batch, in order.
   *
   * @param rowsAtOnce that the GPU has room for
   */
  void run(int rowsAtOnce, ExpertClock clock) {
    CudaBatch loaded = null;
    try {
      int tokens = source.tokens();
      int most = rowsOfBatch(rowsAtOnce);
      for (int from = 0; from < tokens; ) {
        int to = end(from, most);
        CudaBatch next = new CudaBatch(lane(), map, bank, from, to);
        all.add(next);
        underWay.addLast(next);
        source.load(next.lane(), from, to);
        next.lane().permute(map.localExperts());
        compute(loaded);
        loaded = next;
        from = to;
      }
      compute(loaded);
      finishAll();
    } finally {
      underWay.forEach(CudaBatch::close);
    }
    all.forEach(batch -> batch.tell(clock));
  }

  /**
   * Experts that do not all fit are fetched once a batch, so batches are as large as they can be.
   * Others are alike: a last one of a few tokens takes as many steps as a large one.
   */
  private int rowsOfBatch(int rowsAtOnce) {
    if (bank.capacity() < map.localExperts()) {
      return rowsAtOnce;
    }
    long rows = Math.max(1, source.assignmentsBefore(source.tokens()));
    long least = Math.max(LEAST_ROWS, (long) LEAST_ROWS_OF_EXPERT * map.localExperts());
    long wanted = Math.max(least, Math.min(Math.ceilDiv(rows, (long) BATCHES), MOST_ROWS));
    long even = Math.ceilDiv(rows, Math.ceilDiv(rows, Math.min(rowsAtOnce, wanted)));
    long ofToken = Math.ceilDiv(rows, Math.max(1L, source.tokens()));
    return (int) Math.min(rowsAtOnce, Math.ceilDiv(even, ofToken) * ofToken);
  }

  /**
   * The token behind the batch that begins with {@code from}: at least one, with {@code most} rows.
   */
  private int end(int from, int most) {
    int to = from + 1;
    long first = source.assignmentsBefore(from);
    while (to < source.tokens() && source.assignmentsBefore(to + 1) - first <= most) {
      to++;
    }
    return to;
  }

  /** Who holds a lane waits for none: the first that is done gives its own back before. */
  private Lane lane() {
    Optional<Lane> lane = gpu.laneIfFree();
    while (lane.isEmpty() && underWay.size() > 1) {
      finishFirst();
      lane = gpu.laneIfFree();
    }
    if (lane.isEmpty() && !underWay.isEmpty()) {
      compute(underWay.getFirst());
      finishAll();
    }
    return lane.orElseGet(gpu::lane);
  }

  private void finishAll() {
    while (!underWay.isEmpty()) {
      finishFirst();
    }
  }

  private void finishFirst() {
    underWay.getFirst().finish();
    underWay.removeFirst();
  }

  private void compute(CudaBatch batchOrNull) {
    if (batchOrNull == null || batchOrNull.computed()) {
      return;
    }
    List<Integer> missing = batchOrNull.startIfReady();
    if (!missing.isEmpty()) {
      // No lease is held while an expert is waited for.
      while (underWay.getFirst() != batchOrNull) {
        finishFirst();
      }
      batchOrNull.stream(missing, GROUPS);
    }
    source.collect(batchOrNull.lane(), batchOrNull.from(), batchOrNull.to());
  }
}
