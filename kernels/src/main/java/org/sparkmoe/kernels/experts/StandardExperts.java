package org.sparkmoe.kernels.experts;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.combine.Unreduced;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenPermutation;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Experts over tokens × H: rows are gathered per expert, computed, and scattered to the order of
 * the assignments.
 */
public final class StandardExperts implements FusedExperts {
  private final ExpertKernel kernel;
  private final WeightAndReduce weightAndReduce;
  private final ExpertClock clock;
  private final Team team;

  /**
   * Experts computed by {@code kernel}, in the calling thread.
   *
   * @param weightAndReduce NO_OP to weigh and reduce here; CONTIGUOUS or DELEGATE to leave one row
   *     per assignment
   */
  public StandardExperts(ExpertKernel kernel, WeightAndReduce weightAndReduce) {
    this(kernel, weightAndReduce, ExpertClock.NONE, Team.SOLO);
  }

  /** As above, by {@code team}, and {@code clock} is told of every kernel call. */
  public StandardExperts(
      ExpertKernel kernel, WeightAndReduce weightAndReduce, ExpertClock clock, Team team) {
    requireStandard(weightAndReduce);
    this.kernel = kernel;
    this.weightAndReduce = weightAndReduce;
    this.clock = clock;
    this.team = team;
  }

  /** Refuses what reduces the other format. */
  static void requireStandard(WeightAndReduce weightAndReduce) {
    if (weightAndReduce == WeightAndReduce.NAIVE_BATCHED) {
      throw new IllegalArgumentException(
          "NAIVE_BATCHED reduces the batched format; the standard one takes NO_OP, CONTIGUOUS or"
              + " DELEGATE");
    }
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
    // Fewer rows never come in larger pieces.
    int piece = GroupedLoop.pieceRows(load.rows(), team);
    return team.members() * Desk.bytes(kernel, piece, load.hidden(), load.intermediate());
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
      MemorySegment rows = ws.collected((long) standard.routes().assignments() * hidden);
      compute(standard, permutation, map, bank, ws, rows);
      WeightAndReduce.CONTIGUOUS.apply(new Unreduced(rows, hidden, permutation, 0), team, out);
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
    int hidden = tokens.hidden();
    int piece = GroupedLoop.pieceRows(permutation.rows(), team);
    Desk[] desks = Desk.in(ws, team.members(), piece, hidden);
    GroupedLoop.run(
        map,
        bank,
        permutation::rows,
        piece,
        team,
        clock,
        (expert, local, from, rows, member) -> {
          Desk desk = desks[member];
          int first = permutation.offset(local) + from;
          gather(tokens, permutation, first, rows, desk.x());
          kernel.forward(expert, rows, desk.x(), desk.y(), desk.ws());
          scatter(desk.y(), permutation, first, rows, hidden, out);
        });
  }

  /** What one member of the team works with: gathered rows, their results, the kernel's scratch. */
  private record Desk(MemorySegment x, MemorySegment y, Workspace ws) {
    static Desk[] in(Workspace ws, int members, int rows, int hidden) {
      Workspace[] parts = ws.split(members);
      Desk[] desks = new Desk[members];
      for (int member = 0; member < members; member++) {
        Workspace part = parts[member];
        MemorySegment x = part.segment((long) rows * hidden);
        desks[member] = new Desk(x, part.segment((long) rows * hidden), part);
      }
      return desks;
    }

    static long bytes(ExpertKernel kernel, int rows, int hidden, int intermediate) {
      return 2 * Workspace.bytes((long) rows * hidden)
          + kernel.workspaceBytes(rows, hidden, intermediate);
    }
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
