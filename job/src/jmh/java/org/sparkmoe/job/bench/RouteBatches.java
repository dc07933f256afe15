package org.sparkmoe.job.bench;

import java.util.Iterator;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.sparkmoe.kernels.router.Router;
import org.sparkmoe.kernels.router.RoutingRule;
import org.sparkmoe.udfs.tokens.BatchedRows;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * The router in batches: {@code token_id BIGINT, logits BINARY} in, the rows of {@code routes} out.
 *
 * @param rule how experts are chosen
 * @param experts f32 values of {@code logits}
 */
record RouteBatches(RoutingRule rule, int experts) implements MapPartitionsFunction<Row, Row> {
  /** As many as a task of the job takes at a time. */
  static final int BATCH = 1024;

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    Router router = Router.of(rule, experts);
    int topK = router.topK();
    long[] ids = new long[BATCH];
    float[] logits = new float[BATCH * experts];
    int[] chosen = new int[BATCH * topK];
    float[] weights = new float[BATCH * topK];
    return new BatchedRows() {
      @Override
      protected int fill() {
        int size = 0;
        while (size < BATCH && rows.hasNext()) {
          Row row = rows.next();
          ids[size] = row.getLong(0);
          byte[] bytes = row.getAs(1);
          System.arraycopy(Vectors.floats(bytes), 0, logits, size * experts, experts);
          size++;
        }
        if (size == 0) {
          return -1;
        }
        router.route(size, logits, null, chosen, weights);
        return size * topK;
      }

      @Override
      protected Row row(int index) {
        return RowFactory.create(ids[index / topK], index % topK, chosen[index], weights[index]);
      }
    };
  }
}
