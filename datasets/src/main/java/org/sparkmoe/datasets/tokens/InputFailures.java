package org.sparkmoe.datasets.tokens;

import java.util.Optional;
import org.sparkmoe.datasets.InputException;

/** Finds what was wrong with the input in what Spark throws, whose messages have many lines. */
public final class InputFailures {
  /** As a task's failure reads on the driver: Spark carries over text, not exceptions. */
  private static final String IN_TEXT = InputException.class.getName() + ": ";

  private InputFailures() {}

  /** The {@link InputException} behind {@code thrown}, thrown on the driver or in a task. */
  public static Optional<InputException> find(Throwable thrown) {
    for (Throwable e = thrown; e != null; e = e.getCause()) {
      if (e instanceof InputException bad) {
        return Optional.of(bad);
      }
      String message = String.valueOf(e.getMessage());
      int at = message.indexOf(IN_TEXT);
      if (at >= 0) {
        String line = message.substring(at + IN_TEXT.length()).lines().findFirst().orElse("");
        return Optional.of(new InputException(line, thrown));
      }
    }
    return Optional.empty();
  }

  static InputException asInput(String context, Throwable thrown) {
    return find(thrown)
        .orElseGet(() -> new InputException(context + ": " + firstLine(thrown), thrown));
  }

  static String firstLine(Throwable thrown) {
    String message = thrown.getMessage();
    return message == null || message.isBlank()
        ? thrown.getClass().getSimpleName()
        : message.strip().lines().findFirst().orElseThrow();
  }
}
