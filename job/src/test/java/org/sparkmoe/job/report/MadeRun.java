package org.sparkmoe.job.report;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/**
 * The folder of a run of four experts and k = 2, made by hand:
 *
 * <pre>
 *   token   slot 0         slot 1
 *   10      expert 0  1.0  expert 2  1.0
 *   11      expert 2  1.5  expert 0  0.5
 *   12      expert 3  2.0  expert 2  0.0
 * </pre>
 */
final class MadeRun {
  private static final StructType ROUTES =
      StructType.fromDDL("token_id BIGINT, topk_slot INT, expert_id INT, topk_weight FLOAT");

  private MadeRun() {}

  /** Routes as above. */
  static List<Row> routes() {
    return List.of(
        RowFactory.create(12L, 1, 2, 0f),
        RowFactory.create(10L, 0, 0, 1f),
        RowFactory.create(11L, 1, 0, 0.5f),
        RowFactory.create(12L, 0, 3, 2f),
        RowFactory.create(11L, 0, 2, 1.5f),
        RowFactory.create(10L, 1, 2, 1f));
  }

  /** Writes a run with these routes and outputs of {@code token_id, output}. */
  static Path write(SparkSession spark, Path run, List<Row> routes, String outputs) {
    // Tokens are torn apart: nothing promises that they lie together.
    spark.createDataFrame(routes, ROUTES).repartition(4).write().parquet(run + "/routes");
    spark
        .sql(
            """
            SELECT * FROM VALUES (0, null, null, 2L, 0.3, 1.5, 4D), (1, null, null, 0L, 0.0, 0.0, 0D),
                                 (2, null, null, 3L, 0.5, 2.5, 3D), (3, null, null, 1L, 0.2, 2.0, 1D)
            AS t(expert_id, lane, copies, tokens, share, weight_mass, kernel_ms)
            """)
        .write()
        .parquet(run + "/expert_stats");
    spark
        .sql(
            """
            SELECT id AS token_id, 'read' AS stage,
                   CASE WHEN id = 1 THEN '<b>rare</b>' WHEN id > 20 THEN concat('r', id) ELSE 'common' END AS reason
            FROM range(45)
            """)
        .write()
        .parquet(run + "/errors");
    spark.sql(outputs).write().parquet(run + "/outputs");
    try {
      Files.writeString(
          run.resolve("manifest.json"),
          """
          {"model": {"checkpoint": "file:/m", "family": "f", "layer": 3,
                     "shape": {"hidden": 100, "experts": 4, "expert_width": 50, "top_k": 2}},
           "counts": {"rows": 48, "tokens": 3, "errors": 45, "routes": 6}, "seconds": 4.5,
           "stages": [{"stage": "route", "seconds": 1.0, "tasks": 2, "shuffle_bytes": 10}]}
          """);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return run;
  }
}
