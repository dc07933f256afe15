package org.sparkmoe.udfs.gating;

import java.util.Iterator;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.executor.TaskScope;
import org.sparkmoe.udfs.peaks.ActivationPeaks;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.tokens.BatchedRows;

/**
 * The gating function: tokens in, the rows of the {@code routes} table out, k per token that can be
 * scored. Everything else that is known of the tokens then is counted on the way.
 */
public final class RouteFunction implements MapPartitionsFunction<Row, Row> {
  private static final long serialVersionUID = 1;

  /** {@code token_id, topk_slot, expert_id, topk_weight}. */
  public static final StructType SCHEMA =
      new StructType()
          .add("token_id", DataTypes.LongType)
          .add("topk_slot", DataTypes.IntegerType)
          .add("expert_id", DataTypes.IntegerType)
          .add("topk_weight", DataTypes.FloatType);

  private final LayerPlan plan;
  private final RouteTally tally;
  private final ActivationPeaks peaksOrNull;

  /** The router of {@code plan}; {@code tally} is registered and told of every row. */
  public RouteFunction(LayerPlan plan, RouteTally tally) {
    this(plan, tally, null);
  }

  /**
   * As above.
   *
   * @param peaksOrNull registered, and told of every token that can be scored; null where nobody
   *     asks
   */
  public RouteFunction(LayerPlan plan, RouteTally tally, ActivationPeaks peaksOrNull) {
    this.plan = plan;
    this.tally = tally;
    this.peaksOrNull = peaksOrNull;
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    TaskScope scope = TaskScope.current();
    InputPeaks inputs =
        peaksOrNull == null ? null : new InputPeaks(plan, peaksOrNull, scope.arena());
    return new Routes(
        GatedBatch.over(rows, plan, DType.F32, scope.layer(plan), scope),
        plan.spec().topK(),
        tally,
        inputs);
  }

  private static final class Routes extends BatchedRows {
    private final GatedBatch batch;
    private final int topK;
    private final RouteTally tally;
    private final InputPeaks inputsOrNull;

    private Routes(GatedBatch batch, int topK, RouteTally tally, InputPeaks inputsOrNull) {
      this.batch = batch;
      this.topK = topK;
      this.tally = tally;
      this.inputsOrNull = inputsOrNull;
    }

    @Override
    protected int fill() {
      if (!batch.read()) {
        return -1;
      }
      if (inputsOrNull != null) {
        inputsOrNull.see(batch);
      }
      for (int row = 0; row < batch.rows().size(); row++) {
        if (batch.rows().error(row) == null) {
          tally.routed();
        } else {
          tally.refused();
        }
      }
      return batch.tokens() * topK;
    }

    @Override
    protected Row row(int assignment) {
      int expert = batch.topkIds()[assignment];
      float weight = batch.topkWeights()[assignment];
      tally.chosen(expert, weight);
      return RowFactory.create(
          batch.rows().id(assignment / topK), assignment % topK, expert, weight);
    }
  }
}
