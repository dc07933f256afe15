package org.sparkmoe.udfs.replicated;

import java.lang.foreign.MemorySegment;
import java.util.Iterator;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.udfs.executor.KernelTimes;
import org.sparkmoe.udfs.executor.TaskScope;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.tokens.BatchedRows;
import org.sparkmoe.udfs.tokens.TokenReader;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * The whole layer over the batches of a partition. One row out per row in, in input order; bad rows
 * keep their place, with the reason.
 */
public final class ReplicatedFunction implements MapPartitionsFunction<Row, Row> {
  private static final long serialVersionUID = 1;

  private final LayerPlan plan;
  private final KernelTimes times;

  /** The whole layer of {@code plan}; {@code times} is registered and told of every expert. */
  public ReplicatedFunction(LayerPlan plan, KernelTimes times) {
    this.plan = plan;
    this.times = times;
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    TaskScope scope = TaskScope.current();
    return new Outputs(plan, times, scope, rows);
  }

  private static final class Outputs extends BatchedRows {
    private final LayerPlan plan;
    private final KernelTimes times;
    private final PreparedLayer layer;
    private final Team team;
    private final TokenReader reader;
    private final MemorySegment out;
    private final Workspace workspace;

    private Outputs(LayerPlan plan, KernelTimes times, TaskScope scope, Iterator<Row> rows) {
      int capacity = plan.batchTokens();
      this.plan = plan;
      this.times = times;
      this.layer = scope.layer(plan);
      this.team = scope.team();
      this.reader = new TokenReader(rows, plan.tokens(), capacity, scope.arena());
      this.out =
          scope.arena().allocate(DType.F32.bytes((long) capacity * plan.spec().hidden()), 64);
      this.workspace =
          layer.kernel().workspace(layer.workspaceBytes(capacity, team), scope.arena());
    }

    @Override
    protected int fill() {
      if (!reader.read()) {
        return -1;
      }
      layer.forward(reader.tokens(), reader.hidden(), out, workspace, team, times);
      return reader.size();
    }

    @Override
    protected Row row(int index) {
      String error = reader.error(index);
      byte[] output =
          error != null
              ? null
              : Vectors.encode(
                  out,
                  (long) reader.token(index) * plan.spec().hidden(),
                  plan.spec().hidden(),
                  plan.outputDtype());
      return plan.tokens().keeps()
          ? RowFactory.create(reader.tokenId(index), output, error, reader.kept(index))
          : RowFactory.create(reader.tokenId(index), output, error);
    }
  }
}
