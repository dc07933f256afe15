package org.sparkmoe.udfs.gating;

import java.lang.foreign.Arena;
import java.util.Iterator;
import org.apache.spark.sql.Row;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.udfs.executor.TaskScope;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.tokens.TokenReader;

/**
 * Batches of tokens with their routes: one GEMM for the logits of a batch, then the routing rule.
 */
public final class GatedBatch {
  private final PreparedLayer layer;
  private final Team team;
  private final TokenReader reader;
  private final Workspace workspace;
  private final int[] topkIds;
  private final float[] topkWeights;

  private GatedBatch(
      PreparedLayer layer, TokenReader reader, int capacity, Team team, Arena arena) {
    this.layer = layer;
    this.team = team;
    this.reader = reader;
    this.workspace = layer.kernel().workspace(layer.routeWorkspaceBytes(capacity, team), arena);
    this.topkIds = new int[capacity * layer.spec().topK()];
    this.topkWeights = new float[capacity * layer.spec().topK()];
  }

  /**
   * The batches of a partition, {@link LayerPlan#batchTokens} rows at a time.
   *
   * @param held the type of the vectors of a batch: F32, or that of the rows
   */
  public static GatedBatch over(
      Iterator<Row> rows, LayerPlan plan, DType held, PreparedLayer layer, TaskScope scope) {
    int capacity = plan.batchTokens();
    TokenReader reader = new TokenReader(rows, plan.tokens(), capacity, held, scope.arena());
    return new GatedBatch(layer, reader, capacity, scope.team(), scope.arena());
  }

  /** Reads and routes the next batch; false when the partition is exhausted. */
  public boolean read() {
    if (!reader.read()) {
      return false;
    }
    layer.route(reader.tokens(), reader.activations(), topkIds, topkWeights, workspace, team);
    return true;
  }

  /** The rows behind the batch. */
  public TokenReader rows() {
    return reader;
  }

  public int tokens() {
    return reader.tokens();
  }

  /** tokens × k, best first. */
  public int[] topkIds() {
    return topkIds;
  }

  /** tokens × k, scaling factor included. */
  public float[] topkWeights() {
    return topkWeights;
  }
}
