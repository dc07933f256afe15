package org.sparkmoe.job.sql;

import java.io.PrintWriter;
import org.apache.spark.sql.AnalysisException;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.InputException;

/**
 * Runs statements and prints what they give.
 *
 * @param form of the rows
 * @param rows that are printed of a table at most
 * @param width characters of a cell after which it is cut, 0 for never
 */
public record Answers(SparkSession spark, PrintWriter out, Form form, int rows, int width) {

  /** Forms of rows. */
  public enum Form {
    /** Columns side by side. */
    TABLE,
    /** A JSON object a line, of every row. */
    JSON
  }

  /**
   * Runs {@code statement}. One without a result, as CREATE VIEW is, prints nothing.
   *
   * @throws InputException where Spark does not understand it
   */
  public void print(String statement) {
    Dataset<Row> result;
    try {
      result = spark.sql(statement);
    } catch (Exception e) {
      // Spark's AnalysisException is a checked one that nothing declares.
      if (e instanceof AnalysisException unknown) {
        throw wrong(statement, unknown);
      }
      throw e;
    }
    if (result.columns().length == 0) {
      return;
    }
    switch (form) {
      case TABLE ->
          out.println(
              ((org.apache.spark.sql.classic.Dataset<Row>) result)
                  .showString(rows, width, false)
                  .stripTrailing());
      case JSON -> result.toJSON().toLocalIterator().forEachRemaining(out::println);
    }
    out.flush();
  }

  /** What is wrong, without the plan that Spark adds, and where. */
  private static InputException wrong(String statement, AnalysisException e) {
    String message = e.getSimpleMessage().lines().findFirst().orElse("");
    return new InputException("%s; in: %s".formatted(message, statement), e);
  }
}
