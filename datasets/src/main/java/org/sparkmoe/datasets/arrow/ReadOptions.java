package org.sparkmoe.datasets.arrow;

import org.apache.hadoop.conf.Configuration;
import org.apache.spark.network.util.JavaUtils;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;
import org.sparkmoe.datasets.InputException;

/** The options of one read of a source, with the session's settings below them. Driver only. */
public record ReadOptions(CaseInsensitiveStringMap options) {
  /** Bytes that one partition may have; {@code spark.sql.files.maxPartitionBytes} by default. */
  public static final String MAX_PARTITION_BYTES = "maxPartitionBytes";

  /** What is taken for the number of cores, as for Spark's own files. */
  private static final String MIN_PARTITIONS = "spark.sql.files.minPartitionNum";

  /** The single path of the read. */
  public String path(String format) {
    String path = options.get("path");
    if (path == null || path.isBlank()) {
      throw new InputException("format " + format + " needs exactly one path; give it to load()");
    }
    return path;
  }

  /** The session's Hadoop configuration with the read's own options on top. */
  public Configuration hadoop() {
    Configuration conf =
        new Configuration(SparkSession.active().sparkContext().hadoopConfiguration());
    options.asCaseSensitiveMap().forEach(conf::set);
    return conf;
  }

  /** A size such as {@code 128m}. */
  public long bytes(String option, String otherwise) {
    String value = options.getOrDefault(option, otherwise);
    try {
      return JavaUtils.byteStringAsBytes(value);
    } catch (NumberFormatException e) {
      throw new InputException(
          "option %s=%s is not a size; write it like 128m".formatted(option, value), e);
    }
  }

  /** What opening one more file costs, in bytes read instead. */
  public long openCost() {
    return JavaUtils.byteStringAsBytes(
        SparkSession.active().conf().get("spark.sql.files.openCostInBytes"));
  }

  /**
   * Bytes of one partition of {@code total} bytes. As for Spark's own files: no more than the
   * limit, and small enough to give every core a partition unless these get tiny.
   */
  public long splitBytes(long total) {
    SparkSession session = SparkSession.active();
    long limit =
        bytes(MAX_PARTITION_BYTES, session.conf().get("spark.sql.files.maxPartitionBytes"));
    String cores = Integer.toString(session.sparkContext().defaultParallelism());
    long perCore = total / Integer.parseInt(session.conf().get(MIN_PARTITIONS, cores));
    return Math.max(1, Math.min(limit, Math.max(openCost(), perCore)));
  }
}
