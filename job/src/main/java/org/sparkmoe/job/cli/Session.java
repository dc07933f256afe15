package org.sparkmoe.job.cli;

import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.delta.DeltaTables;
import org.sparkmoe.udfs.sql.MoeFunctionCatalog;

/**
 * The Spark session of a command. Stopped on the way out, so that the exit code is the command's
 * own; a session that was there before, in a notebook for example, is used and left alone.
 */
final class Session implements AutoCloseable {
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
      String extensions = new SparkConf().get("spark.sql.extensions", "");
      DeltaTables.settings(extensions).forEach(builder::config);
    }
    SparkSession spark = builder.getOrCreate();
    MoeFunctionCatalog.register(spark);
    return new Session(spark, own);
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
