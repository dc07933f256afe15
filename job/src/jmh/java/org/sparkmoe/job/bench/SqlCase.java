package org.sparkmoe.job.bench;

import java.util.function.IntFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/**
 * One thing that SQL and the job both do.
 *
 * @param name for the table of results
 * @param ofTable the input of so many rows
 * @param ofBatches the job's way over it
 * @param ofSql the same rows by a query
 */
record SqlCase(
    String name,
    IntFunction<Dataset<Row>> ofTable,
    IntFunction<Dataset<Row>> ofBatches,
    IntFunction<Dataset<Row>> ofSql) {

  Dataset<Row> table(int rows) {
    return ofTable.apply(rows);
  }

  Dataset<Row> batches(int rows) {
    return ofBatches.apply(rows);
  }

  Dataset<Row> sql(int rows) {
    return ofSql.apply(rows);
  }
}
