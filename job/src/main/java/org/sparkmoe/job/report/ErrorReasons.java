package org.sparkmoe.job.report;

import java.util.List;
import org.apache.spark.sql.Row;

/**
 * Why rows could not be scored.
 *
 * @param commonest reasons, the commonest first
 * @param otherReasons how many more there are
 * @param otherRows rows of those
 */
record ErrorReasons(List<Reason> commonest, long otherReasons, long otherRows) {
  private static final int MOST = 20;

  /** A reason and its rows. */
  record Reason(String stage, String reason, long rows) {}

  static ErrorReasons read(RunFolder run) {
    var reasons =
        run.table("errors", "cast(stage AS string)", "cast(reason AS string)")
            .groupBy("stage", "reason")
            .count();
    List<Reason> commonest =
        reasons
            .orderBy(reasons.col("count").desc(), reasons.col("stage"), reasons.col("reason"))
            .limit(MOST)
            .collectAsList()
            .stream()
            .map(row -> new Reason(row.getString(0), row.getString(1), row.getLong(2)))
            .toList();
    if (commonest.size() < MOST) {
      return new ErrorReasons(commonest, 0, 0);
    }
    Row all = reasons.selectExpr("count(*)", "sum(count)").first();
    return new ErrorReasons(
        commonest,
        all.getLong(0) - MOST,
        all.getLong(1) - commonest.stream().mapToLong(Reason::rows).sum());
  }
}
