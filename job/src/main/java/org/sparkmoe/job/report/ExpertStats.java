package org.sparkmoe.job.report;

import java.util.List;
import org.apache.spark.sql.Row;
import org.sparkmoe.datasets.InputException;

/**
 * The {@code expert_stats} of a layer, by expert id.
 *
 * @param tokens that chose it
 * @param weightMass sum of its weights
 * @param kernelMillis time in its kernel
 * @param lane the first lane that holds it, −1 where replicated
 * @param copies lanes that hold it, 0 where replicated
 */
record ExpertStats(
    long[] tokens, double[] weightMass, double[] kernelMillis, int[] lane, int[] copies) {

  /**
   * Reads the table.
   *
   * @throws InputException where experts are missing
   */
  static ExpertStats read(RunFolder run) {
    List<Row> rows =
        run.table(
                "expert_stats",
                "cast(expert_id AS int)",
                "cast(tokens AS bigint)",
                "cast(weight_mass AS double)",
                "cast(kernel_ms AS double)",
                "cast(coalesce(lane, -1) AS int)",
                "cast(coalesce(copies, 0) AS int)")
            .orderBy("expert_id")
            .collectAsList();
    int experts = rows.size();
    ExpertStats stats =
        new ExpertStats(
            new long[experts],
            new double[experts],
            new double[experts],
            new int[experts],
            new int[experts]);
    for (int expert = 0; expert < experts; expert++) {
      Row row = rows.get(expert);
      if (row.anyNull() || row.getInt(0) != expert) {
        throw new InputException(
            "%s/expert_stats has no complete row of expert %d; give the folder of a complete run"
                .formatted(run.path(), expert));
      }
      stats.tokens[expert] = row.getLong(1);
      stats.weightMass[expert] = row.getDouble(2);
      stats.kernelMillis[expert] = row.getDouble(3);
      stats.lane[expert] = row.getInt(4);
      stats.copies[expert] = row.getInt(5);
    }
    return stats;
  }

  int experts() {
    return tokens.length;
  }
}
