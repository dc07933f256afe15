package org.sparkmoe.job.run;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;

import java.util.List;
import java.util.Optional;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.job.pipeline.LayerPipeline;
import org.sparkmoe.job.plan.Amounts;

/**
 * The {@code errors} table of a run.
 *
 * @param commonestReason why most of its rows could not be scored, with their number, for people;
 *     empty where there are none
 */
record ErrorTable(Optional<String> commonestReason) {
  private static final StructType SCHEMA =
      new StructType()
          .add("token_id", DataTypes.LongType)
          .add("stage", DataTypes.StringType, false)
          .add("reason", DataTypes.StringType);

  /**
   * Writes {@code token_id, stage, reason} of the rows that cannot be scored.
   *
   * @param errors how many there are; for none, the table is one empty file and nothing is read
   */
  static ErrorTable write(LayerPipeline pipeline, long errors, String path) {
    SparkSession spark = pipeline.rows().sparkSession();
    if (errors == 0) {
      spark.createDataFrame(List.of(), SCHEMA).write().parquet(path);
      return new ErrorTable(Optional.empty());
    }
    pipeline
        .errors()
        .select(col("token_id"), lit("read").as("stage"), col("error").as("reason"))
        .write()
        .parquet(path);
    Row most =
        spark
            .read()
            .schema(SCHEMA)
            .parquet(path)
            .groupBy("reason")
            .agg(count(lit(1)).as("n"))
            .orderBy(col("n").desc(), col("reason"))
            .first();
    return new ErrorTable(
        Optional.of("%s (%s rows)".formatted(most.getString(0), Amounts.count(most.getLong(1)))));
  }
}
