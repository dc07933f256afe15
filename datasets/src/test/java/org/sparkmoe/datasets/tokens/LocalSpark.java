package org.sparkmoe.datasets.tokens;

import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.sparkmoe.datasets.delta.DeltaTables;

/**
 * Gives tests one local Spark with two cores, started once per JVM and stopped at its end. Tests
 * take it as a parameter of type {@link SparkSession}. With {@code -Ddelta=true} it is one of Delta
 * Lake, whose rules slow every other query down and which keeps the logs of tables cached.
 */
public final class LocalSpark implements BeforeAllCallback, ParameterResolver {

  @Override
  public void beforeAll(ExtensionContext context) {
    session(context);
  }

  @Override
  public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
    return parameter.getParameter().getType() == SparkSession.class;
  }

  @Override
  public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
    return session(context);
  }

  private static SparkSession session(ExtensionContext context) {
    return context
        .getRoot()
        .getStore(ExtensionContext.Namespace.GLOBAL)
        .getOrComputeIfAbsent(Running.class, _ -> new Running(start()), Running.class)
        .session;
  }

  private static SparkSession start() {
    SparkSession.Builder builder = SparkSession.builder();
    if (Boolean.getBoolean("delta")) {
      DeltaTables.settings("").forEach(builder::config);
    }
    return builder
        .master("local[2]")
        .appName("tests")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "3")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.warehouse.dir", "target/spark-warehouse")
        .getOrCreate();
  }

  private record Running(SparkSession session) implements AutoCloseable {
    @Override
    public void close() {
      session.stop();
    }
  }
}
