package org.sparkmoe.job.run;

import static java.util.stream.Collectors.toSet;

import java.io.FileNotFoundException;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.InputException;

/** Loads of experts as an earlier run counted them. */
public final class ExpertLoads {
  private ExpertLoads() {}

  /**
   * Tokens by expert.
   *
   * @param run folder of the earlier run
   * @param experts of the layer now
   * @throws InputException where there is no such table, or it is of another layer
   */
  public static long[] of(SparkSession spark, String run, int experts) {
    String table = run + "/expert_stats";
    List<Row> rows;
    try {
      Path folder = new Path(table);
      // Spark's own complaint comes with a stack trace in the log.
      if (!folder.getFileSystem(spark.sparkContext().hadoopConfiguration()).exists(folder)) {
        throw new FileNotFoundException("it does not exist");
      }
      rows =
          spark
              .read()
              .parquet(table)
              .selectExpr("cast(expert_id as int)", "cast(tokens as bigint)")
              .collectAsList();
    } catch (Exception e) {
      // Spark's AnalysisException is a checked one that nothing declares.
      throw new InputException(
          "%s is no table of expert loads: %s; --expert-stats takes the folder of a run"
              .formatted(table, String.valueOf(e.getMessage()).lines().findFirst().orElse("")),
          e);
    }
    Set<Integer> ids =
        rows.stream().filter(row -> !row.isNullAt(0)).map(row -> row.getInt(0)).collect(toSet());
    boolean complete = IntStream.range(0, experts).allMatch(ids::contains);
    if (rows.size() != experts || !complete) {
      throw new InputException(
          "%s has %d experts, this layer has %d; --expert-stats takes a run of the same layer"
              .formatted(table, ids.size(), experts));
    }
    if (rows.stream().anyMatch(row -> row.isNullAt(1) || row.getLong(1) < 0)) {
      throw new InputException(
          table + " holds an expert without a count of tokens; take another run");
    }
    long[] loads = new long[experts];
    rows.forEach(row -> loads[row.getInt(0)] = row.getLong(1));
    return loads;
  }
}
