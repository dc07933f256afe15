package org.sparkmoe.job.bench;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.udfs.sql.MoeFunctionCatalog;

/** A local Spark. */
final class BenchSession {
  private BenchSession() {}

  /** With the settings that {@code job/bin/moe} gives a run. */
  static SparkSession start(Settings settings) {
    SparkSession.Builder builder =
        SparkSession.builder()
            .appName("Spark MoE bench")
            .master("local[%d]".formatted(settings.threads()))
            .config("spark.ui.enabled", "false")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1");
    defaults().forEach((key, value) -> builder.config(key, value));
    SparkSession spark = builder.getOrCreate();
    MoeFunctionCatalog.register(spark);
    return spark;
  }

  private static Map<String, String> defaults() {
    Properties file = new Properties();
    try (InputStream in = BenchSession.class.getResourceAsStream("/spark-defaults.conf")) {
      file.load(in);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return file.stringPropertyNames().stream()
        .collect(Collectors.toMap(key -> key, key -> file.getProperty(key).strip()));
  }
}
