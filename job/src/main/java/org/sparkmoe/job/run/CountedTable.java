package org.sparkmoe.job.run;

import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;

import java.util.Map;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Observation;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;

/**
 * A table as it was written, counted on the way to its files. Tasks that were tried more than once
 * count once.
 *
 * @param rows written
 * @param marked rows in which the column that was asked about is not null
 */
record CountedTable(long rows, long marked) {

  /** Writes {@code rows} as Parquet, none of them marked. */
  static CountedTable write(Dataset<Row> rows, String path) {
    return write(rows, lit(null), path);
  }

  /**
   * As above.
   *
   * @param mark column to count
   */
  static CountedTable write(Dataset<Row> rows, Column mark, String path) {
    Observation counts = new Observation();
    rows.observe(counts, count(lit(1)).as("rows"), count(mark).as("marked"))
        .write()
        .mode(SaveMode.ErrorIfExists)
        .parquet(path);
    Map<String, Object> found = await(counts);
    return new CountedTable((long) found.get("rows"), (long) found.get("marked"));
  }

  /** The counts arrive a moment after the table. */
  private static Map<String, Object> await(Observation counts) {
    try {
      return counts.getAsJava();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while rows were counted", e);
    }
  }
}
