package org.sparkmoe.job.verify;

import static org.apache.spark.sql.functions.call_function;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import java.io.IOException;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.tokens.HiddenEncoding;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.datasets.tokens.TokenSource;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.udfs.sql.MoeFunctionCatalog;

/**
 * One side of a comparison: a vector per token.
 *
 * @param table as it was opened
 */
public record OutputVectors(TokenTable table) {
  private static final String OUTPUTS = "outputs";

  /** The outputs in a run folder. */
  static OutputVectors ofRun(SparkSession spark, String run) {
    if (!run.contains("#") && !has(spark, run, "")) {
      throw new InputException("%s does not exist; give the --output of a run".formatted(run));
    }
    if (!has(spark, run, OUTPUTS)) {
      throw new InputException(
          "%s is no run folder: it has no %s/; give the --output of a run".formatted(run, OUTPUTS));
    }
    String path = new Path(run, OUTPUTS).toString();
    return new OutputVectors(
        TokenSource.open(spark, TokenOptions.of(path).withColumns(TokenTable.TOKEN_ID, "output")));
  }

  /** A tensor, or the outputs in a run folder. */
  static OutputVectors ofReference(SparkSession spark, String reference) {
    return has(spark, reference, OUTPUTS)
        ? ofRun(spark, reference)
        : new OutputVectors(TokenSource.open(spark, TokenOptions.of(reference)));
  }

  /** Where it comes from. */
  public String path() {
    return table.path();
  }

  /** How vectors are stored there. */
  public HiddenEncoding encoding() {
    return table.encoding();
  }

  /** Rows {@code token_id, name BINARY}, those without an id or a vector left out. */
  Dataset<Row> rows(String name) {
    Column vector = col(TokenTable.HIDDEN);
    Column bytes =
        encoding() instanceof HiddenEncoding.FloatArray
            ? call_function(MoeFunctionCatalog.NAME + ".encode", vector, lit("f32"))
            : vector;
    return table
        .rows()
        .where(col(TokenTable.TOKEN_ID).isNotNull().and(vector.isNotNull()))
        .select(col(TokenTable.TOKEN_ID), bytes.as(name));
  }

  /** Whether a folder is there, or {@code inside} of it. */
  private static boolean has(SparkSession spark, String folder, String inside) {
    if (folder.contains("#")) {
      return false;
    }
    try {
      Path path = inside.isEmpty() ? new Path(folder) : new Path(folder, inside);
      return path.getFileSystem(spark.sparkContext().hadoopConfiguration()).exists(path);
    } catch (IOException | IllegalArgumentException e) {
      throw new InputException("%s cannot be read: %s".formatted(folder, e.getMessage()), e);
    }
  }
}
