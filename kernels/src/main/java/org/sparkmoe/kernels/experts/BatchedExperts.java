package org.sparkmoe.kernels.experts;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Experts over blocks of rows, one block per local expert. Nothing is gathered, and reducing is
 * left to finalize ({@link WeightAndReduce#NAIVE_BATCHED} fits).
 */
public final class BatchedExperts implements FusedExperts {
  private final ExpertKernel kernel;

  /** Experts computed by {@code kernel}. */
  public BatchedExperts(ExpertKernel kernel) {
    this.kernel = kernel;
  }

  @Override
  public ActivationFormat activationFormat() {
    return ActivationFormat.BATCHED_EXPERTS;
  }

  @Override
  public WeightAndReduce weightAndReduce() {
    return WeightAndReduce.DELEGATE;
  }

  @Override
  public long workspaceBytes(ExpertLoad load) {
    int piece = GroupedLoop.pieceRows(load.rows(), Team.SOLO);
    return kernel.workspaceBytes(piece, load.hidden(), load.intermediate());
  }

  @Override
  public void apply(
      DispatchedTokens tokens, ExpertMap map, ExpertBank bank, Workspace ws, MemorySegment out) {
    if (!(tokens instanceof DispatchedTokens.Batched batched)) {
      throw new IllegalArgumentException(
          "tokens are %s, these experts take BATCHED_EXPERTS".formatted(tokens.format()));
    }
    if (batched.expertNumTokens().length != map.localExperts()) {
      throw new IllegalArgumentException(
          "%d blocks of tokens for %d local experts"
              .formatted(batched.expertNumTokens().length, map.localExperts()));
    }
    long block = DType.F32.bytes((long) batched.maxTokens() * batched.hidden());
    int piece = GroupedLoop.pieceRows(batched.maxTokens(), Team.SOLO);
    GroupedLoop.run(
        map,
        bank,
        local -> batched.expertNumTokens()[local],
        piece,
        Team.SOLO,
        ExpertClock.NONE,
        (expert, local, from, rows, member) -> {
          long start = local * block + DType.F32.bytes((long) from * batched.hidden());
          long bytes = DType.F32.bytes((long) rows * batched.hidden());
          kernel.forward(
              expert, rows, batched.x().asSlice(start, bytes), out.asSlice(start, bytes), ws);
        });
  }
}
