package org.sparkmoe.udfs.replicated;

import java.util.Iterator;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.Activations;
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
    DType in = layer.kernel().handover(plan.tokens().dtype());
    DType out = layer.kernel().handover(plan.outputDtype());
    Batch first = Batch.of(plan, rows, in, out, scope);
    Batch second = Batch.of(plan, rows, in, out, scope);
    long bytes = layer.workspaceBytes(plan.batchTokens(), team, in, out);
    Workspace workspace = layer.kernel().workspace(bytes, scope.arena());
    return new Outputs(plan, times, layer, team, workspace, scope.kernelThread(), first, second);
  }

  /**
   * The memory of a batch.
   *
   * @param out tokens × H
   */
  private record Batch(TokenReader reader, Activations out) {
    private static Batch of(
        LayerPlan plan, Iterator<Row> rows, DType in, DType out, TaskScope scope) {
      int capacity = plan.batchTokens();
      long bytes = out.bytes((long) capacity * plan.spec().hidden());
      return new Batch(
          new TokenReader(rows, plan.tokens(), capacity, in, scope.arena()),
          new Activations(scope.arena().allocate(bytes, 64), out));
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
      layer.forward(reader.tokens(), reader.activations(), batch.out(), workspace, team, times);
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
              : Vectors.encode(batch.out(), reader.token(index), hidden, plan.outputDtype());
      return plan.tokens().keeps()
          ? RowFactory.create(reader.tokenId(index), output, error, reader.kept(index))
          : RowFactory.create(reader.tokenId(index), output, error);
    }
  }
}
