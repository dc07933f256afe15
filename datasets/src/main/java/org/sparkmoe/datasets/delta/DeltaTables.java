package org.sparkmoe.datasets.delta;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.InputException;

/**
 * Reads and makes Delta tables by path. Delta Lake is no dependency of ours: its classes are looked
 * for when a table of it is asked for, and missing ones are refused by the name of the package.
 */
public final class DeltaTables {
  /** Folder of a table's log, by which one is known. */
  public static final String LOG = "_delta_log";

  /** What to give to {@code --packages}. */
  public static final String PACKAGE = "io.delta:delta-spark_4.2_2.13:4.4.0";

  private static final String EXTENSION = "io.delta.sql.DeltaSparkSessionExtension";
  private static final String CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog";
  private static final String EXTENSIONS_KEY = "spark.sql.extensions";
  private static final String CATALOG_KEY = "spark.sql.catalog.spark_catalog";

  /** Tasks that Delta Lake reads a log with, 50 where nothing is set, several times a table. */
  private static final String LOG_TASKS = "spark.databricks.delta.snapshotPartitions";

  private DeltaTables() {}

  /**
   * Settings that a session with Delta Lake starts with; empty where its package is missing.
   *
   * @param extensions what {@code spark.sql.extensions} holds already, empty for nothing
   */
  public static Map<String, String> settings(String extensions) {
    if (!present()) {
      return Map.of();
    }
    Map<String, String> settings = new LinkedHashMap<>();
    if (!extensions.contains(EXTENSION)) {
      settings.put(EXTENSIONS_KEY, extensions.isBlank() ? EXTENSION : extensions + "," + EXTENSION);
    }
    settings.put(CATALOG_KEY, CATALOG);
    return settings;
  }

  /**
   * Checks that {@code spark} can read and make Delta tables.
   *
   * @param what is asked for, for the message
   * @throws InputException where the package is missing or the session was started without it
   */
  public static void require(SparkSession spark, String what) {
    if (!present()) {
      throw new InputException(
          "%s needs Delta Lake, whose classes are missing; add --packages %s to the options of Spark, before the command"
              .formatted(what, PACKAGE));
    }
    if (!spark.conf().get(EXTENSIONS_KEY, "").contains(EXTENSION)
        || !spark.conf().get(CATALOG_KEY, "").equals(CATALOG)) {
      throw new InputException(
          "%s needs a Spark session that was started for Delta Lake; set %s=%s and %s=%s"
              .formatted(what, EXTENSIONS_KEY, EXTENSION, CATALOG_KEY, CATALOG));
    }
  }

  /**
   * The table's rows as of its newest version, whatever is written to it later: a job reads its
   * input more than once.
   */
  public static Dataset<Row> read(SparkSession spark, String path) {
    long version =
        spark
            .sql("DESCRIBE HISTORY delta." + quoted(path) + " LIMIT 1")
            .select("version")
            .first()
            .getLong(0);
    return spark.read().format("delta").option("versionAsOf", version).load(path);
  }

  /** Makes a folder of Parquet files a Delta table, in place: its files stay as they are. */
  public static void convert(SparkSession spark, String path) {
    boolean unset = spark.conf().getOption(LOG_TASKS).isEmpty();
    if (unset) {
      // a log that is made now has one entry
      spark.conf().set(LOG_TASKS, "1");
    }
    try {
      spark.sql("CONVERT TO DELTA parquet." + quoted(path));
    } finally {
      if (unset) {
        spark.conf().unset(LOG_TASKS);
      }
    }
  }

  private static boolean present() {
    try {
      Class.forName(EXTENSION, false, Thread.currentThread().getContextClassLoader());
      return true;
    } catch (ClassNotFoundException e) {
      return false;
    }
  }

  private static String quoted(String path) {
    return "`" + path.replace("`", "``") + "`";
  }
}
