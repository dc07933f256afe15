package org.sparkmoe.job.cli;

import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.delta.DeltaTables;
import org.sparkmoe.udfs.MoeExtensions;
import org.sparkmoe.udfs.sql.MoeFunctionCatalog;

/**
 * The Spark session of a command. Stopped on the way out, so that the exit code is the command's
 * own; a session that was there before, in a notebook for example, is used and left alone.
 */
final class Session implements AutoCloseable {
  private static final String EXTENSIONS = "spark.sql.extensions";

  private final SparkSession spark;
  private final boolean own;

  private Session(SparkSession spark, boolean own) {
    this.spark = spark;
    this.own = own;
  }

  static Session start(String name) {
    boolean own = SparkSession.getDefaultSession().isEmpty();
    SparkSession.Builder builder = SparkSession.builder().appName(name);
    if (own) {
      String extensions = withFunctions(new SparkConf().get(EXTENSIONS, ""));
      builder.config(EXTENSIONS, extensions);
      DeltaTables.settings(extensions).forEach(builder::config);
    }
    SparkSession spark = builder.getOrCreate();
    MoeFunctionCatalog.register(spark);
    return new Session(spark, own);
  }

  /** {@code extensions}, with the one of our functions among them. */
  private static String withFunctions(String extensions) {
    String ours = MoeExtensions.class.getName();
    if (extensions.isBlank()) {
      return ours;
    }
    return extensions.contains(ours) ? extensions : extensions + "," + ours;
  }

  SparkSession spark() {
    return spark;
  }

  @Override
  public void close() {
    if (own) {
      spark.stop();
    }
  }
}
