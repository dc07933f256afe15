package org.sparkmoe.job.report;

import static org.apache.spark.sql.functions.call_function;
import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.min;

import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.tokens.HiddenEncoding;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.sql.MoeFunctionCatalog;

/**
 * The {@code outputs} of a run.
 *
 * @param table {@code token_id, output, error}
 * @param encoding of {@code output}
 */
record OutputRows(Dataset<Row> table, HiddenEncoding encoding) {

  static OutputRows of(RunFolder run) {
    Dataset<Row> table =
        run.table("outputs", "cast(token_id AS bigint) AS token_id", "output", "error");
    HiddenEncoding encoding =
        HiddenEncoding.of(table.schema().apply("output"))
            .orElseThrow(
                () ->
                    new InputException(
                        "%s/outputs has no vectors in its column output; give the folder of a complete run"
                            .formatted(run.path())));
    MoeFunctionCatalog.register(run.spark());
    return new OutputRows(table, encoding);
  }

  /** Of an output's elements. */
  DType dtype() {
    return encoding.dtype();
  }

  /**
   * One row {@code token_id, vector BINARY, error} a token, one of the two null. Rows without an id
   * are left out; of rows with one id none was scored, and one reason stands for all.
   */
  Dataset<Row> rows(String vector, String error) {
    Dataset<Row> known = table.where(col("token_id").isNotNull());
    Column bytes =
        encoding instanceof HiddenEncoding.FloatArray
            ? call_function(MoeFunctionCatalog.NAME + ".encode", col("output"), lit("f32"))
            : col("output");
    Dataset<Row> scored =
        known
            .where(col("output").isNotNull())
            .select(col("token_id"), bytes.as(vector), lit(null).cast("string").as(error));
    Dataset<Row> failed =
        known
            .where(col("output").isNull())
            .groupBy("token_id")
            .agg(min(coalesce(col("error"), lit(""))).as(error))
            .select(col("token_id"), lit(null).cast("binary").as(vector), col(error));
    return scored.unionByName(failed);
  }
}
