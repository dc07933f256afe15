package org.sparkmoe.job.run;

import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.Partition;
import org.apache.spark.rdd.PartitionPruningRDD;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.datasources.FilePartition;
import org.apache.spark.sql.execution.datasources.PartitionedFile;
import org.apache.spark.sql.execution.datasources.v2.DataSourceRDDPartition;
import org.sparkmoe.job.pipeline.TokenPart;
import org.sparkmoe.job.resume.RunState.Splits;
import scala.Function1;

/**
 * The input, cut into partitions once. Spark cuts files by its settings and the cores that it has
 * at that moment; both are kept, so that another driver on another cluster cuts in the same places.
 */
final class CutInput {
  private static final String MIN_PARTITIONS = "spark.sql.files.minPartitionNum";
  private static final List<String> SETTINGS =
      List.of(
          "spark.sql.files.maxPartitionBytes",
          "spark.sql.files.openCostInBytes",
          "spark.sql.files.maxPartitionNum",
          MIN_PARTITIONS);

  private final SparkSession spark;
  private final RDD<Row> rows;
  private final Splits splits;

  private CutInput(SparkSession spark, RDD<Row> rows, Splits splits) {
    this.spark = spark;
    this.rows = rows;
    this.splits = splits;
  }

  /** Cuts {@code rows}, which nobody has looked at yet, by the settings of now. */
  static CutInput of(SparkSession spark, Dataset<Row> rows) {
    Map<String, String> settings = new TreeMap<>();
    for (String name : SETTINGS) {
      spark.conf().getOption(name).foreach(value -> settings.put(name, value));
    }
    settings.computeIfAbsent(
        MIN_PARTITIONS,
        _ ->
            spark
                .conf()
                .get(
                    "spark.sql.leafNodeDefaultParallelism",
                    Integer.toString(spark.sparkContext().defaultParallelism())));
    return of(spark, rows, settings);
  }

  /** Cuts {@code rows}, which nobody has looked at yet, by {@code settings}. */
  static CutInput of(SparkSession spark, Dataset<Row> rows, Map<String, String> settings) {
    Map<String, String> before = new TreeMap<>();
    List<String> unset = new ArrayList<>();
    for (String name : SETTINGS) {
      var value = spark.conf().getOption(name);
      if (value.isDefined()) {
        before.put(name, value.get());
      } else {
        unset.add(name);
      }
    }
    try {
      settings.forEach(spark.conf()::set);
      RDD<Row> cut = rows.rdd();
      Partition[] partitions = cut.getPartitions();
      return new CutInput(spark, cut, new Splits(settings, partitions.length, digest(partitions)));
    } finally {
      before.forEach(spark.conf()::set);
      unset.forEach(spark.conf()::unset);
    }
  }

  /** Where it is cut. */
  Splits splits() {
    return splits;
  }

  /** Partitions {@code first} to {@code end}, the last not among them. */
  TokenPart part(int first, int end) {
    Function1<Object, Object> chosen =
        (Function1<Object, Object> & Serializable)
            partition -> (int) partition >= first && (int) partition < end;
    RDD<Row> part = PartitionPruningRDD.create(rows, chosen);
    return (function, schema) ->
        spark.createDataFrame(part.toJavaRDD().mapPartitions(function::call), schema);
  }

  private static String digest(Partition[] partitions) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (Partition partition : partitions) {
        digest.update(text(partition).getBytes(StandardCharsets.UTF_8));
        digest.update((byte) '\n');
      }
      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java has SHA-256", e);
    }
  }

  /** What a partition reads. */
  private static String text(Partition partition) {
    return switch (partition) {
      case FilePartition files -> {
        StringBuilder text = new StringBuilder();
        for (PartitionedFile file : files.files()) {
          text.append("%s %d %d;".formatted(file.urlEncodedPath(), file.start(), file.length()));
        }
        yield text.toString();
      }
      // our own sources describe a split by a record
      case DataSourceRDDPartition split -> split.inputPartition().toString();
      default -> Integer.toString(partition.index());
    };
  }
}
