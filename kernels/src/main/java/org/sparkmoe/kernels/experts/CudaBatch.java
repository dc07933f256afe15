package org.sparkmoe.kernels.experts;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.sparkmoe.kernels.cuda.GpuShape;
import org.sparkmoe.kernels.cuda.Lane;
import org.sparkmoe.kernels.permute.ExpertMap;

/** One batch of a {@link CudaPass}: a lane, the experts on loan for it, and what they took. */
final class CudaBatch implements AutoCloseable {
  private final Lane lane;
  private final ExpertMap map;
  private final ExpertBank bank;
  private final int from;
  private final int to;
  private final List<Group> groups = new ArrayList<>();
  private final List<Time> times = new ArrayList<>();
  private int[] offsets;
  private GpuShape shapeOrNull;
  private boolean computed;
  private int ready;
  private boolean closed;

  private record Time(int expert, int rows, long computed, long nanos) {}

  CudaBatch(Lane lane, ExpertMap map, ExpertBank bank, int from, int to) {
    this.lane = lane;
    this.map = map;
    this.bank = bank;
    this.from = from;
    this.to = to;
  }

  Lane lane() {
    return lane;
  }

  int from() {
    return from;
  }

  int to() {
    return to;
  }

  boolean computed() {
    return computed;
  }

  /**
   * Starts all experts that have rows, where all of them are there; waits for the permutation.
   *
   * @return otherwise the experts that have rows, those that are there first; nothing is on loan
   *     then
   */
  List<Integer> startIfReady() {
    computed = true;
    List<Integer> wanted = sorted();
    List<Integer> absent = new ArrayList<>();
    Group group = new Group();
    for (int local : wanted) {
      bank.acquireIfReady(map.global(local))
          .ifPresentOrElse(lease -> group.add(local, lease), () -> absent.add(local));
    }
    if (!absent.isEmpty()) {
      group.release();
      ready = group.locals.size();
      absent.addAll(0, group.locals);
    } else if (!wanted.isEmpty()) {
      group.start();
    }
    return absent;
  }

  /** Where the rows of each expert begin; returns the experts that have any. */
  private List<Integer> sorted() {
    int experts = map.localExperts();
    int[] rows = lane.rowsOfExperts(experts);
    offsets = new int[experts + 1];
    List<Integer> wanted = new ArrayList<>();
    for (int local = 0; local < experts; local++) {
      offsets[local + 1] = offsets[local] + rows[local];
      if (rows[local] > 0) {
        wanted.add(local);
      }
    }
    return wanted;
  }

  /**
   * Runs experts of which some have to be fetched.
   *
   * @param order in which they run
   * @param share of those that are there which make a group: one of so many
   */
  void stream(List<Integer> order, int share) {
    int most = Math.max(1, ready / share);
    List<Integer> waiting = new ArrayList<>(order);
    Group running = null;
    while (!waiting.isEmpty()) {
      Group next = new Group();
      int first = waiting.removeFirst();
      Optional<ExpertLease> lease =
          running == null ? Optional.empty() : bank.acquireIfRoom(map.global(first));
      if (lease.isEmpty()) {
        if (running != null) {
          running.finish();
        }
        running = null;
        lease = Optional.of(bank.acquire(map.global(first)));
      }
      next.add(first, lease.get());
      waiting.removeIf(
          local -> {
            Optional<ExpertLease> more =
                next.locals.size() < most
                    ? bank.acquireIfReady(map.global(local))
                    : Optional.empty();
            more.ifPresent(there -> next.add(local, there));
            return more.isPresent();
          });
      next.start();
      if (running != null) {
        running.finish();
      }
      running = next;
    }
    if (running != null) {
      running.finish();
    }
  }

  /** Waits until the result is there, and gives lane and experts back. */
  void finish() {
    lane.finish();
    groups.forEach(Group::finish);
    lane.close();
    closed = true;
  }

  /** After a failure: as {@link #finish}, without a result. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      try {
        lane.close();
      } finally {
        groups.forEach(Group::release);
      }
    }
  }

  void tell(ExpertClock clock) {
    times.forEach(time -> clock.ran(time.expert(), time.rows(), time.computed(), time.nanos()));
  }

  /** Experts that run together. */
  private final class Group {
    private final List<ExpertLease> leases = new ArrayList<>();
    private final List<Integer> locals = new ArrayList<>();
    private final List<Lane.Piece> pieces = new ArrayList<>();
    private Lane.Run run;

    Group() {
      groups.add(this);
    }

    void add(int local, ExpertLease lease) {
      leases.add(lease);
      locals.add(local);
      CudaExpert expert = (CudaExpert) lease.expert();
      GpuShape shape = expert.memory().shape();
      if (shapeOrNull == null) {
        shapeOrNull = shape;
        lane.arrange(shape);
      }
      if (!shape.equals(shapeOrNull)) {
        throw new IllegalArgumentException(
            "expert %d is %s on the GPU, others of the layer are %s: they must be alike"
                .formatted(map.global(local), shape, shapeOrNull));
      }
      int rows = offsets[local + 1] - offsets[local];
      pieces.add(new Lane.Piece(expert.memory(), offsets[local], rows));
    }

    void start() {
      run = lane.start(pieces, ((CudaExpert) leases.getFirst().expert()).activation());
    }

    /** Waits, notes what each expert took, and gives them back; once. */
    void finish() {
      if (leases.isEmpty()) {
        return;
      }
      int rows = pieces.stream().mapToInt(Lane.Piece::rows).sum();
      double nanosPerRow = run.nanos() / (double) rows;
      for (int i = 0; i < locals.size(); i++) {
        int own = pieces.get(i).rows();
        long together = leases.get(i).expert().computedRows(own);
        int global = map.global(locals.get(i));
        times.add(new Time(global, own, together, Math.round(own * nanosPerRow)));
      }
      release();
    }

    void release() {
      leases.forEach(ExpertLease::close);
      leases.clear();
    }
  }
}
