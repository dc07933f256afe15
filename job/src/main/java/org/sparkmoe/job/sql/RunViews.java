package org.sparkmoe.job.sql;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.job.report.RunFolder;

/** The tables of a run as temporary views of the same names. */
public final class RunViews {
  /** Tables that a run writes. */
  public static final List<String> TABLES = List.of("outputs", "routes", "expert_stats", "errors");

  private RunViews() {}

  /**
   * Makes a view of each table that the run has. Those of a run of several layers hold the rows of
   * all of them, with the layer's index in a column {@code layer} before the others.
   *
   * @param run a Hadoop path, the output of a run
   * @return names of the views
   * @throws InputException where it is no run
   */
  public static List<String> create(SparkSession spark, String run) {
    RunFolder folder = RunFolder.open(spark, run);
    List<RunFolder> layers = folder.layers();
    boolean several = folder.manifest().has("layers");
    List<String> views = new ArrayList<>();
    for (String table : TABLES) {
      layers.stream()
          .filter(layer -> layer.has(table))
          .map(layer -> several ? ofLayer(layer, table) : layer.table(table, "*"))
          .reduce(Dataset::unionByName)
          .ifPresent(
              rows -> {
                rows.createOrReplaceTempView(table);
                views.add(table);
              });
    }
    return views;
  }

  private static Dataset<Row> ofLayer(RunFolder layer, String table) {
    return layer
        .table(table, "*")
        .select(functions.lit(layer.layer()).as("layer"), functions.col("*"));
  }
}
