package org.sparkmoe.kernels.experts;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.cuda.GpuShape;
import org.sparkmoe.kernels.cuda.Lane;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Experts over tokens × H on a GPU: a batch goes there once and is sorted there, all its experts
 * run together as far as they are in memory, and what comes back is reduced. The same bits as
 * {@link StandardExperts} over the same kernel.
 */
final class CudaExperts implements FusedExperts {
  private final CudaExpertKernel kernel;
  private final WeightAndReduce weightAndReduce;
  private final ExpertClock clock;

  /**
   * Experts on {@code kernel}'s GPU.
   *
   * @param clock told an expert's share of the time that its group took
   */
  CudaExperts(CudaExpertKernel kernel, WeightAndReduce weightAndReduce, ExpertClock clock) {
    StandardExperts.requireStandard(weightAndReduce);
    this.kernel = kernel;
    this.weightAndReduce = weightAndReduce;
    this.clock = clock;
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
    List<Integer> wanted = wanted(standard.routes(), map);
    if (wanted.isEmpty()) {
      out.fill((byte) 0);
      return;
    }
    GpuShape shape = shape(wanted, map, bank);
    new CudaPass(kernel.gpu(), map, bank, new Dispatched(standard, map, weightAndReduce, out))
        .run(kernel.gpu().rowsAtOnce(shape.hidden(), shape.intermediate()), clock);
  }

  /** The experts here that have rows. */
  private static List<Integer> wanted(TokenRoutes routes, ExpertMap map) {
    boolean[] seen = new boolean[map.localExperts()];
    List<Integer> wanted = new ArrayList<>();
    for (int id : routes.expertIds()) {
      int local = map.local(id);
      if (local != ExpertMap.REMOTE && !seen[local]) {
        seen[local] = true;
        wanted.add(local);
      }
    }
    return wanted;
  }

  /** That of all of them; one that is there is asked, so that none has to go for it. */
  private static GpuShape shape(List<Integer> wanted, ExpertMap map, ExpertBank bank) {
    for (int local : wanted) {
      try (ExpertLease lease = bank.acquireIfReady(map.global(local)).orElse(null)) {
        if (lease != null) {
          return ((CudaExpert) lease.expert()).memory().shape();
        }
      }
    }
    try (ExpertLease lease = bank.acquire(map.global(wanted.getFirst()))) {
      return ((CudaExpert) lease.expert()).memory().shape();
    }
  }

  /** Tokens that were routed elsewhere. */
  private record Dispatched(
      DispatchedTokens.Standard standard,
      ExpertMap map,
      WeightAndReduce weightAndReduce,
      MemorySegment out)
      implements CudaPass.Source {

    @Override
    public int tokens() {
      return standard.routes().tokens();
    }

    @Override
    public long assignmentsBefore(int token) {
      return standard.routes().offsets()[token];
    }

    private long rowBytes() {
      return DType.F32.bytes(standard.hidden());
    }

    @Override
    public void load(Lane lane, int from, int to) {
      MemorySegment x = standard.x().asSlice(from * rowBytes());
      lane.load(standard.hidden(), to - from, x, DType.F32);
      TokenRoutes routes = standard.routes().slice(from, to);
      int[] locals = new int[routes.assignments()];
      for (int a = 0; a < locals.length; a++) {
        // REMOTE is negative, as the kernels want it.
        locals[a] = map.local(routes.expertIds()[a]);
      }
      lane.routes(routes, locals);
    }

    @Override
    public void collect(Lane lane, int from, int to) {
      if (weightAndReduce == WeightAndReduce.NO_OP) {
        lane.combine(out.asSlice(from * rowBytes(), (to - from) * rowBytes()), DType.F32);
      } else {
        long start = assignmentsBefore(from);
        lane.scatter(out.asSlice(start * rowBytes(), (assignmentsBefore(to) - start) * rowBytes()));
      }
    }
  }
}
