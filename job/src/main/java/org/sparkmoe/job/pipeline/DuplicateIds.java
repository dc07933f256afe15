package org.sparkmoe.job.pipeline;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;

import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.job.plan.Amounts;

/** Token ids that occur more than once. */
public final class DuplicateIds {
  /** Duplicated ids are broadcast; more of them means that the column is no id. */
  private static final int MOST = 1_000_000;

  private DuplicateIds() {}

  /**
   * The ids that several of {@code rows} have, ascending. Reads only the column of ids.
   *
   * @throws InputException for more than a million of them
   */
  public static long[] of(Dataset<Row> rows) {
    List<Row> found =
        rows.select("token_id")
            .filter(col("token_id").isNotNull())
            .groupBy("token_id")
            .agg(count(lit(1)).as("n"))
            .filter(col("n").gt(1))
            .select("token_id")
            .limit(MOST + 1)
            .collectAsList();
    if (found.size() > MOST) {
      throw new InputException(
          "more than %s token ids occur several times; ids must be unique: name another column with --token-id-column"
              .formatted(Amounts.count(MOST)));
    }
    return found.stream().mapToLong(row -> row.getLong(0)).sorted().toArray();
  }
}
