package org.sparkmoe.udfs.gating;

import java.util.Iterator;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.udfs.executor.TaskScope;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.tokens.BatchedRows;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * The gating function: tokens in, one row per token out, with either its routes or the reason why
 * it has none.
 *
 * <p>Routes are little-endian buffers ({@code moe.decode_ids}, {@code moe.decode}), so no row boxes
 * its k slots.
 */
public final class RouteFunction implements MapPartitionsFunction<Row, Row> {
  private static final long serialVersionUID = 1;

  /**
   * {@code token_id, topk_ids, topk_weights, error}; error is null exactly where the routes are
   * not.
   */
  public static final StructType SCHEMA =
      new StructType()
          .add("token_id", DataTypes.LongType)
          .add("topk_ids", DataTypes.BinaryType)
          .add("topk_weights", DataTypes.BinaryType)
          .add("error", DataTypes.StringType);

  private final LayerPlan plan;

  public RouteFunction(LayerPlan plan) {
    this.plan = plan;
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    TaskScope scope = TaskScope.current();
    return new RoutedRows(
        GatedBatch.over(rows, plan, scope.layer(plan), scope), plan.spec().topK());
  }

  private static final class RoutedRows extends BatchedRows {
    private final GatedBatch batch;
    private final int topK;

    private RoutedRows(GatedBatch batch, int topK) {
      this.batch = batch;
      this.topK = topK;
    }

    @Override
    protected int fill() {
      return batch.read() ? batch.rows().size() : -1;
    }

    @Override
    protected Row row(int index) {
      Object tokenId = batch.rows().tokenId(index);
      String error = batch.rows().error(index);
      if (error != null) {
        return RowFactory.create(tokenId, null, null, error);
      }
      int first = batch.rows().token(index) * topK;
      return RowFactory.create(
          tokenId,
          Vectors.encode(batch.topkIds(), first, topK),
          Vectors.encode(batch.topkWeights(), first, topK),
          null);
    }
  }
}
