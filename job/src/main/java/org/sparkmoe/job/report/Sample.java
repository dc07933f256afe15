package org.sparkmoe.job.report;

import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/** A part of the tokens that depends on their ids alone: the same in every table and every run. */
final class Sample {
  private static final int PARTS = 1_000_000;

  private Sample() {}

  /** About {@code fraction} of the tokens of {@code rows}, which have a {@code token_id}. */
  static Dataset<Row> of(Dataset<Row> rows, double fraction) {
    return rows.where(
        "pmod(xxhash64(token_id), %d) < %d".formatted(PARTS, (long) (fraction * PARTS)));
  }
}
