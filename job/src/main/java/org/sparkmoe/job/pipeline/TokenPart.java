package org.sparkmoe.job.pipeline;

import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.StructType;

/** Tokens as functions take them: all of the input, or some of its partitions. */
public interface TokenPart {

  /** What {@code function} makes of each partition, rows of {@code schema}. */
  Dataset<Row> map(MapPartitionsFunction<Row, Row> function, StructType schema);

  /** All of {@code rows}. */
  static TokenPart of(Dataset<Row> rows) {
    return (function, schema) -> rows.mapPartitions(function, Encoders.row(schema));
  }
}
