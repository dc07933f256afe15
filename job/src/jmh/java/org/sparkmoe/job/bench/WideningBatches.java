package org.sparkmoe.job.bench;

import java.util.Iterator;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.executor.TaskScope;
import org.sparkmoe.udfs.tokens.BatchedRows;
import org.sparkmoe.udfs.tokens.TokenFormat;
import org.sparkmoe.udfs.tokens.TokenReader;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * bf16 vectors to f32 as the job's tasks read them: {@code token_id BIGINT, hidden BINARY} in, the
 * same out.
 *
 * @param hidden values of a vector
 */
record WideningBatches(int hidden) implements MapPartitionsFunction<Row, Row> {
  static final StructType SCHEMA =
      new StructType().add("token_id", DataTypes.LongType).add("hidden", DataTypes.BinaryType);

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    TokenReader reader =
        new TokenReader(
            rows,
            new TokenFormat(hidden, DType.BF16, null, null),
            RouteBatches.BATCH,
            TaskScope.current().arena());
    return new BatchedRows() {
      @Override
      protected int fill() {
        return reader.read() ? reader.tokens() : -1;
      }

      @Override
      protected Row row(int token) {
        return RowFactory.create(
            reader.id(token),
            Vectors.encode(reader.hidden(), (long) token * hidden, hidden, DType.F32));
      }
    };
  }
}
