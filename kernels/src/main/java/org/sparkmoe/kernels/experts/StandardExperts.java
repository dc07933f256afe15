package org.sparkmoe.kernels.experts;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.combine.Unreduced;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenPermutation;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Experts over tokens × H: rows are gathered per expert, computed, and scattered to the order of
 * the assignments.
 */
public final class StandardExperts implements FusedExperts {
  /**
   * Rows gathered at once. Enough that an expert's weights, which are read once per gather, cost
   * little beside the arithmetic; few enough that the buffers stay small. A row's result does not
   * depend on the others, so the limit changes no bit.
   */
  private static final int GATHER = 512;

  private final ExpertKernel kernel;
  private final WeightAndReduce weightAndReduce;
  private final ExpertClock clock;

  /**
   * Experts computed by {@code kernel}.
   *
   * @param weightAndReduce NO_OP to weigh and reduce here; CONTIGUOUS or DELEGATE to leave one row
   *     per assignment
   */
  public StandardExperts(ExpertKernel kernel, WeightAndReduce weightAndReduce) {
    this(kernel, weightAndReduce, ExpertClock.NONE);
  }

  /** As above, and {@code clock} is told of every kernel call. */
  public StandardExperts(ExpertKernel kernel, WeightAndReduce weightAndReduce, ExpertClock clock) {
    if (weightAndReduce == WeightAndReduce.NAIVE_BATCHED) {
      throw new IllegalArgumentException(
          "NAIVE_BATCHED reduces the batched format; the standard one takes NO_OP, CONTIGUOUS or"
              + " DELEGATE");
    }
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
    int gathered = Math.min(load.rows(), GATHER);
    long rows = 2L * gathered + (reducesItself() ? load.rows() : 0);
    return Workspace.bytes(rows * load.hidden())
        + kernel.workspaceBytes(gathered, load.hidden(), load.intermediate());
  }

  @Override
  public void apply(
      DispatchedTokens tokens, ExpertMap map, ExpertBank bank, Workspace ws, MemorySegment out) {
    if (!(tokens instanceof DispatchedTokens.Standard standard)) {
      throw new IllegalArgumentException(
          "tokens are %s, these experts take STANDARD".formatted(tokens.format()));
    }
    TokenPermutation permutation = TokenPermutation.of(standard.routes(), map);
    int mark = ws.mark();
    if (reducesItself()) {
      int hidden = standard.hidden();
      MemorySegment rows = ws.segment((long) standard.routes().assignments() * hidden);
      compute(standard, permutation, map, bank, ws, rows);
      WeightAndReduce.CONTIGUOUS.apply(new Unreduced(rows, hidden, permutation, 0), out);
    } else {
      zeroRemote(permutation, standard.hidden(), out);
      compute(standard, permutation, map, bank, ws, out);
    }
    ws.release(mark);
  }

  private boolean reducesItself() {
    return weightAndReduce == WeightAndReduce.NO_OP;
  }

  private void compute(
      DispatchedTokens.Standard tokens,
      TokenPermutation permutation,
      ExpertMap map,
      ExpertBank bank,
      Workspace ws,
      MemorySegment out) {
    long width = tokens.hidden();
    int room = Math.min(permutation.rows(), GATHER);
    MemorySegment x = ws.segment(room * width);
    MemorySegment y = ws.segment(room * width);
    GroupedLoop.run(
        map,
        bank,
        permutation::rows,
        (expert, local, count) -> {
          int end = permutation.offset(local) + count;
          for (int from = permutation.offset(local); from < end; from += GATHER) {
            int rows = Math.min(GATHER, end - from);
            gather(tokens, permutation, from, rows, x);
            long started = System.nanoTime();
            kernel.forward(expert, rows, x, y, ws);
            clock.ran(map.global(local), rows, System.nanoTime() - started);
            scatter(y, permutation, from, rows, width, out);
          }
        });
  }

  private static void gather(
      DispatchedTokens.Standard tokens,
      TokenPermutation permutation,
      int from,
      int rows,
      MemorySegment x) {
    long bytes = DType.F32.bytes(tokens.hidden());
    for (int i = 0; i < rows; i++) {
      MemorySegment.copy(tokens.x(), permutation.token(from + i) * bytes, x, i * bytes, bytes);
    }
  }

  private static void scatter(
      MemorySegment y,
      TokenPermutation permutation,
      int from,
      int rows,
      long width,
      MemorySegment out) {
    long bytes = DType.F32.bytes(width);
    for (int i = 0; i < rows; i++) {
      MemorySegment.copy(y, i * bytes, out, permutation.assignment(from + i) * bytes, bytes);
    }
  }

  private static void zeroRemote(TokenPermutation permutation, int hidden, MemorySegment out) {
    TokenRoutes routes = permutation.routes();
    long bytes = DType.F32.bytes(hidden);
    for (int a = 0; a < routes.assignments(); a++) {
      if (permutation.row(a) == TokenPermutation.DROPPED) {
        out.asSlice(a * bytes, bytes).fill((byte) 0);
      }
    }
  }
}
