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
import org.sparkmoe.udfs.executor.KernelThread;
import org.sparkmoe.udfs.executor.KernelTimes;
import org.sparkmoe.udfs.executor.OverlappedRows;
import org.sparkmoe.udfs.executor.TaskScope;
import org.sparkmoe.udfs.plan.LayerPlan;
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
    PreparedLayer layer = scope.layer(plan);
    Team team = scope.team();
    Batch first = Batch.of(plan, rows, scope);
    Batch second = Batch.of(plan, rows, scope);
    Workspace workspace =
        layer.kernel().workspace(layer.workspaceBytes(plan.batchTokens(), team), scope.arena());
    return new Outputs(plan, times, layer, team, workspace, scope.kernelThread(), first, second);
  }

  /**
   * The memory of a batch.
   *
   * @param out tokens × H f32
   */
  private record Batch(TokenReader reader, MemorySegment out) {
    private static Batch of(LayerPlan plan, Iterator<Row> rows, TaskScope scope) {
      int capacity = plan.batchTokens();
      return new Batch(
          new TokenReader(rows, plan.tokens(), capacity, scope.arena()),
          scope.arena().allocate(DType.F32.bytes((long) capacity * plan.spec().hidden()), 64));
    }
  }

  private static final class Outputs extends OverlappedRows<Batch> {
    private final LayerPlan plan;
    private final KernelTimes times;
    private final PreparedLayer layer;
    private final Team team;
    private final Workspace workspace;

    private Outputs(
        LayerPlan plan,
        KernelTimes times,
        PreparedLayer layer,
        Team team,
        Workspace workspace,
        KernelThread kernels,
        Batch first,
        Batch second) {
      super(kernels, first, second);
      this.plan = plan;
      this.times = times;
      this.layer = layer;
      this.team = team;
      this.workspace = workspace;
    }

    @Override
    protected boolean read(Batch batch) {
      return batch.reader().read();
    }

    @Override
    protected void compute(Batch batch) {
      TokenReader reader = batch.reader();
      layer.forward(reader.tokens(), reader.hidden(), batch.out(), workspace, team, times);
    }

    @Override
    protected int rows(Batch batch) {
      return batch.reader().size();
    }

    @Override
    protected Row row(Batch batch, int index) {
      TokenReader reader = batch.reader();
      int hidden = plan.spec().hidden();
      String error = reader.error(index);
      byte[] output =
          error != null
              ? null
              : Vectors.encode(
                  batch.out(), (long) reader.token(index) * hidden, hidden, plan.outputDtype());
      return plan.tokens().keeps()
          ? RowFactory.create(reader.tokenId(index), output, error, reader.kept(index))
          : RowFactory.create(reader.tokenId(index), output, error);
    }
  }
}
