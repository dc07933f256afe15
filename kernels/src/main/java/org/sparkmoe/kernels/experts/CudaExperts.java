package org.sparkmoe.kernels.experts;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.cuda.GpuActivation;
import org.sparkmoe.kernels.cuda.GpuShape;
import org.sparkmoe.kernels.cuda.Lane;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenPermutation;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Experts over tokens × H on a GPU: a batch goes there once, all its experts run together as far as
 * they are in memory, and what comes back is reduced. The same bits as {@link StandardExperts} over
 * the same kernel.
 */
final class CudaExperts implements FusedExperts {
  /** Rows of a batch, at most: enough to fill the GPU, and few enough that there are several. */
  private static final int ROWS = 1 << 16;

  private final CudaExpertKernel kernel;
  private final WeightAndReduce weightAndReduce;
  private final ExpertClock clock;
  private final Team team;

  /**
   * Experts on {@code kernel}'s GPU.
   *
   * @param clock told an expert's share of the time that its group took
   * @param team its members bring one batch to the GPU while another is computed there
   */
  CudaExperts(
      CudaExpertKernel kernel, WeightAndReduce weightAndReduce, ExpertClock clock, Team team) {
    StandardExperts.requireStandard(weightAndReduce);
    this.kernel = kernel;
    this.weightAndReduce = weightAndReduce;
    this.clock = clock;
    this.team = team;
  }

  @Override
  public ActivationFormat activationFormat() {
    return ActivationFormat.STANDARD;
  }

  @Override
  public WeightAndReduce weightAndReduce() {
    return weightAndReduce;
  }

  @Override
  public long workspaceBytes(ExpertLoad load) {
    return 0;
  }

  @Override
  public void apply(
      DispatchedTokens tokens, ExpertMap map, ExpertBank bank, Workspace ws, MemorySegment out) {
    if (!(tokens instanceof DispatchedTokens.Standard standard)) {
      throw new IllegalArgumentException(
          "tokens are %s, these experts take STANDARD".formatted(tokens.format()));
    }
    new Call(standard, map, bank, out).run();
  }

  /** What the clock is told of a batch, by the calling thread. */
  private static final class Times {
    private record Time(int expert, int rows, long computed, long nanos) {}

    private final List<Time> all = new ArrayList<>();

    void add(int expert, int rows, long computed, long nanos) {
      all.add(new Time(expert, rows, computed, nanos));
    }

    void tell(ExpertClock clock) {
      all.forEach(time -> clock.ran(time.expert(), time.rows(), time.computed(), time.nanos()));
    }
  }

  /** One call, cut into batches of tokens that the GPU has room for. */
  private final class Call {
    private final DispatchedTokens.Standard tokens;
    private final ExpertMap map;
    private final ExpertBank bank;
    private final MemorySegment out;
    private final long rowBytes;

    Call(DispatchedTokens.Standard tokens, ExpertMap map, ExpertBank bank, MemorySegment out) {
      this.tokens = tokens;
      this.map = map;
      this.bank = bank;
      this.out = out;
      this.rowBytes = DType.F32.bytes(tokens.hidden());
    }

    void run() {
      int first = firstExpert();
      if (first == ExpertMap.REMOTE) {
        out.fill((byte) 0);
        return;
      }
      GpuShape shape;
      try (ExpertLease lease = bank.acquire(map.global(first))) {
        shape = ((CudaExpert) lease.expert()).memory().shape();
      }
      List<Integer> starts = starts(Math.min(ROWS, kernel.gpu().rowsAtOnce(shape)));
      List<Times> times = new ArrayList<>();
      starts.forEach(start -> times.add(new Times()));
      team.run(
          starts.size() - 1,
          (batch, member) -> {
            try (Lane lane = kernel.gpu().lane()) {
              batch(lane, shape, starts.get(batch), starts.get(batch + 1), times.get(batch));
            }
          });
      times.forEach(batch -> batch.tell(clock));
    }

    /**
     * The first token of each batch, and the number of tokens: as many as have {@code most} rows.
     */
    private List<Integer> starts(int most) {
      int[] offsets = tokens.routes().offsets();
      int count = tokens.routes().tokens();
      List<Integer> starts = new ArrayList<>();
      int from = 0;
      while (from < count) {
        starts.add(from);
        int to = from + 1;
        while (to < count && offsets[to + 1] - offsets[from] <= most) {
          to++;
        }
        from = to;
      }
      starts.add(count);
      return starts;
    }

    /** Any expert here that has rows. */
    private int firstExpert() {
      for (int id : tokens.routes().expertIds()) {
        if (map.local(id) != ExpertMap.REMOTE) {
          return map.local(id);
        }
      }
      return ExpertMap.REMOTE;
    }

    private void batch(Lane lane, GpuShape shape, int from, int to, Times times) {
      TokenRoutes routes = tokens.routes().slice(from, to);
      TokenPermutation permutation = TokenPermutation.of(routes, map);
      int[] tokenOf = new int[permutation.rows()];
      Arrays.setAll(tokenOf, permutation::token);
      int[] rowOf = new int[routes.assignments()];
      Arrays.setAll(rowOf, permutation::row);
      lane.load(shape, to - from, tokens.x().asSlice(from * rowBytes), tokenOf, tokenOf.length);
      runAll(lane, shape, permutation, times);
      if (weightAndReduce == WeightAndReduce.NO_OP) {
        MemorySegment sums = out.asSlice(from * rowBytes, (to - from) * rowBytes);
        lane.combine(rowOf, routes.weights(), routes.offsets(), sums);
      } else {
        long start = tokens.routes().offsets()[from] * rowBytes;
        lane.scatter(rowOf, out.asSlice(start, routes.assignments() * rowBytes));
      }
    }

    /** In groups: one expert that may have to be waited for, and all others that are there. */
    private void runAll(Lane lane, GpuShape shape, TokenPermutation permutation, Times times) {
      List<Integer> waiting = new ArrayList<>();
      for (int local = 0; local < map.localExperts(); local++) {
        if (permutation.rows(local) > 0) {
          waiting.add(local);
        }
      }
      while (!waiting.isEmpty()) {
        try (Group group = new Group(permutation)) {
          // No lease is held while this one is waited for.
          int first = waiting.removeFirst();
          group.add(first, bank.acquire(map.global(first)), shape);
          waiting.removeIf(
              local -> {
                Optional<ExpertLease> lease = bank.acquireIfReady(map.global(local));
                lease.ifPresent(ready -> group.add(local, ready, shape));
                return lease.isPresent();
              });
          group.run(lane, times);
        }
      }
    }

    /** Experts that run together. */
    private final class Group implements AutoCloseable {
      private final TokenPermutation permutation;
      private final List<ExpertLease> leases = new ArrayList<>();
      private final List<Integer> locals = new ArrayList<>();
      private final List<Lane.Piece> pieces = new ArrayList<>();
      private int rows;

      Group(TokenPermutation permutation) {
        this.permutation = permutation;
      }

      void add(int local, ExpertLease lease, GpuShape shape) {
        leases.add(lease);
        CudaExpert expert = (CudaExpert) lease.expert();
        if (!expert.memory().shape().equals(shape)) {
          throw new IllegalArgumentException(
              "expert %d is %s on the GPU, others of the layer are %s: they must be alike"
                  .formatted(map.global(local), expert.memory().shape(), shape));
        }
        locals.add(local);
        pieces.add(
            new Lane.Piece(expert.memory(), permutation.offset(local), permutation.rows(local)));
        rows += permutation.rows(local);
      }

      void run(Lane lane, Times times) {
        GpuActivation activation = ((CudaExpert) leases.getFirst().expert()).activation();
        double nanosPerRow = lane.run(pieces, activation) / (double) rows;
        for (int i = 0; i < locals.size(); i++) {
          int own = permutation.rows(locals.get(i));
          long computed = leases.get(i).expert().computedRows(own);
          times.add(map.global(locals.get(i)), own, computed, Math.round(own * nanosPerRow));
        }
      }

      @Override
      public void close() {
        leases.forEach(ExpertLease::close);
      }
    }
  }
}
