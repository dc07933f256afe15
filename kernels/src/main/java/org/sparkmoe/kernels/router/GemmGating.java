package org.sparkmoe.kernels.router;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.gemm.PackedMatrix;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/** On the CPU: one matrix product for the logits {@code hidden · routerᵀ + bias}, then the rule. */
public final class GemmGating implements Gating {
  /** Tokens that one member of a team routes at a time. */
  private static final int LEAST_ROWS = 32;

  private static final int MOST_ROWS = 256;

  private final Gemm gemm;
  private final Router rule;
  private final PackedMatrix router;
  private final int hidden;
  private final float[] biasOrNull;
  private final float[] selectionBiasOrNull;

  /**
   * A router packed by {@code gemm}.
   *
   * @param arena owns the packed copy
   */
  public GemmGating(Gemm gemm, RoutingRule rule, RouterWeights weights, Arena arena) {
    this.gemm = gemm;
    this.rule = Router.of(rule, weights.router().rows());
    this.router = gemm.pack(weights.router(), arena);
    this.hidden = weights.router().cols();
    this.biasOrNull = weights.biasOrNull();
    this.selectionBiasOrNull = weights.selectionBiasOrNull();
  }

  @Override
  public long workspaceBytes(int tokens, Team team) {
    int piece = team.share(tokens, LEAST_ROWS, MOST_ROWS);
    return team.members()
        * (gemm.workspaceBytes(piece, hidden) + Workspace.bytes((long) piece * hidden));
  }

  @Override
  public void route(
      int tokens, Activations x, int[] topkIds, float[] topkWeights, Workspace ws, Team team) {
    int mark = ws.mark();
    Workspace[] parts = ws.split(team.members());
    team.stretches(
        tokens,
        team.share(tokens, LEAST_ROWS, MOST_ROWS),
        (from, to, member) -> {
          Workspace part = parts[member];
          int before = part.mark();
          MemorySegment rows = widened(x.rows(from, to, hidden), to - from, part);
          float[] logits = new float[Math.multiplyExact(to - from, rule.experts())];
          gemm.multiply(to - from, rows, router, biasOrNull, MemorySegment.ofArray(logits), part);
          rule.route(to - from, logits, selectionBiasOrNull, topkIds, topkWeights, from);
          part.release(before);
        });
    ws.release(mark);
  }

  private MemorySegment widened(Activations rows, int count, Workspace ws) {
    if (rows.type() == DType.F32) {
      return rows.data();
    }
    MemorySegment wide = ws.segment((long) count * hidden);
    rows.convert(Activations.f32(wide), (long) count * hidden);
    return wide;
  }
}
