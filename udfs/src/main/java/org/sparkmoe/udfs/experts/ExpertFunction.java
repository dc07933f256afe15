package org.sparkmoe.udfs.experts;

import java.util.Iterator;
import java.util.List;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.experts.FusedExperts;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.udfs.dispatch.DispatchBlock;
import org.sparkmoe.udfs.executor.KernelThread;
import org.sparkmoe.udfs.executor.KernelTimes;
import org.sparkmoe.udfs.executor.OverlappedRows;
import org.sparkmoe.udfs.executor.TaskScope;
import org.sparkmoe.udfs.plan.LayerPlan;

/**
 * The experts of a lane over its blocks: several blocks are joined until the matrix products are
 * worth it, and each token leaves as one partial row. A row depends on its own token only, so
 * neither the order in which blocks arrive nor the way they are joined changes a bit.
 */
public final class ExpertFunction implements MapPartitionsFunction<Row, Row> {
  private static final long serialVersionUID = 1;

  private final LayerPlan plan;
  private final KernelTimes times;

  /** The experts of {@code plan}'s lanes; {@code times} is registered and told of every expert. */
  public ExpertFunction(LayerPlan plan, KernelTimes times) {
    this.plan = plan;
    this.times = times;
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    TaskScope scope = TaskScope.current();
    PreparedLayer layer = scope.layer(plan);
    Team team = scope.team();
    int lane = TaskContext.getPartitionId();
    ExpertMap map = plan.placement().map(lane);
    LaneWork first = new LaneWork(plan, map);
    scope.onCompletion(first::close);
    LaneWork second = new LaneWork(plan, map);
    scope.onCompletion(second::close);
    LaneWorkspace workspace = new LaneWorkspace(layer.kernel());
    scope.onCompletion(workspace::close);
    return new Partials(
        layer,
        team,
        FusedExperts.standard(layer.kernel(), WeightAndReduce.NO_OP, times, team),
        workspace,
        new LaneBlocks(rows, plan, lane),
        scope.kernelThread(),
        first,
        second);
  }

  private static final class Partials extends OverlappedRows<LaneWork> {
    private final PreparedLayer layer;
    private final Team team;
    private final FusedExperts experts;
    private final LaneWorkspace workspace;
    private final LaneBlocks blocks;

    private Partials(
        PreparedLayer layer,
        Team team,
        FusedExperts experts,
        LaneWorkspace workspace,
        LaneBlocks blocks,
        KernelThread kernels,
        LaneWork first,
        LaneWork second) {
      super(kernels, first, second);
      this.layer = layer;
      this.team = team;
      this.experts = experts;
      this.blocks = blocks;
      this.workspace = workspace;
    }

    @Override
    protected boolean read(LaneWork work) {
      List<DispatchBlock> next = blocks.next();
      if (next.isEmpty()) {
        return false;
      }
      work.read(next);
      return true;
    }

    @Override
    protected void compute(LaneWork work) {
      long needed = work.workspaceBytes(experts, layer, team);
      work.compute(experts, layer, team, workspace.of(needed));
    }

    @Override
    protected int rows(LaneWork work) {
      return work.rows();
    }

    @Override
    protected Row row(LaneWork work, int index) {
      return work.row(index);
    }
  }
}
