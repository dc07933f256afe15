package org.sparkmoe.job.report;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.InputException;

/**
 * The folder of a run, to read from.
 *
 * @param path a Hadoop path
 * @param manifest what is in {@code manifest.json}
 */
public record RunFolder(SparkSession spark, String path, JsonNode manifest) {

  /**
   * Opens a run.
   *
   * @throws InputException where {@code path} does not exist or is no run folder
   */
  public static RunFolder open(SparkSession spark, String path) {
    try {
      Path file = new Path(path, "manifest.json");
      FileSystem files = file.getFileSystem(spark.sparkContext().hadoopConfiguration());
      if (!files.exists(file.getParent())) {
        throw new InputException("%s does not exist; give the --output of a run".formatted(path));
      }
      try (InputStream in = files.open(file)) {
        JsonNode manifest = new ObjectMapper().readTree(in);
        if (manifest == null || !manifest.isObject()) {
          throw new IOException("manifest.json is no JSON object");
        }
        return new RunFolder(spark, path, manifest);
      }
    } catch (FileNotFoundException e) {
      throw new InputException(
          "%s is no run folder: it has no manifest.json; give the --output of a run"
              .formatted(path),
          e);
    } catch (IOException | IllegalArgumentException e) {
      throw new InputException(
          "%s cannot be read as a run: %s; give the --output of a run"
              .formatted(path, firstLine(e)),
          e);
    }
  }

  /**
   * Rows of a table of the run.
   *
   * @param columns as SQL expressions
   * @throws InputException where it is not there, or not as this version writes it
   */
  public Dataset<Row> table(String name, String... columns) {
    String table = new Path(path, name).toString();
    try {
      // Spark takes a path for a pattern.
      String literal = table.replaceAll("[\\[\\]{}*?\\\\]", "\\\\$0");
      return spark.read().parquet(literal).selectExpr(columns);
    } catch (Exception e) {
      // Spark's AnalysisException is a checked one that nothing declares.
      throw new InputException(
          "%s cannot be read: %s; give the folder of a complete run".formatted(table, firstLine(e)),
          e);
    }
  }

  /** Whether it has the table {@code name}. */
  public boolean has(String name) {
    Path table = new Path(path, name);
    try {
      return table.getFileSystem(spark.sparkContext().hadoopConfiguration()).exists(table);
    } catch (IOException e) {
      throw new InputException("%s cannot be read: %s".formatted(table, firstLine(e)), e);
    }
  }

  /**
   * The folders of its layers: this one, or those that the manifest of several layers names.
   *
   * @throws InputException where one of them is not there
   */
  public List<RunFolder> layers() {
    List<RunFolder> layers = new ArrayList<>();
    for (JsonNode layer : manifest.path("layers")) {
      layers.add(open(spark, new Path(path, layer.path("path").asText("?")).toString()));
    }
    return layers.isEmpty() ? List.of(this) : layers;
  }

  /** Index of its layer. */
  public int layer() {
    return manifest.at("/model/layer").asInt();
  }

  /** Tokens that were scored. */
  long tokens() {
    return manifest.at("/counts/tokens").asLong();
  }

  private static String firstLine(Exception e) {
    return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
  }
}
