package org.sparkmoe.job.sql;

import java.util.List;
import org.apache.spark.sql.catalyst.util.StringUtils;
import scala.jdk.javaapi.CollectionConverters;

/** SQL text as the statements in it. */
public final class Statements {
  private Statements() {}

  /**
   * The statements of {@code text}, which ends each but the last with a semicolon. One within
   * quotes or a comment ends nothing.
   */
  public static List<String> of(String text) {
    return CollectionConverters.asJava(StringUtils.splitSemiColonWithIndex(text, false)).stream()
        .map(String::strip)
        .filter(statement -> !statement.isEmpty())
        .toList();
  }
}
