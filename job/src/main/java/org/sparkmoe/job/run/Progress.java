package org.sparkmoe.job.run;

import java.io.PrintStream;
import java.util.Locale;
import java.util.function.Consumer;
import org.sparkmoe.job.plan.Amounts;

/**
 * Tells a person how far the run is: one line that rewrites itself on a terminal, else a plain line
 * now and then.
 */
public final class Progress {
  private static final long QUIET_MILLIS = 10_000;
  private static final long REDRAW_MILLIS = 100;

  private final PrintStream out;
  private final Consumer<String> log;
  private final boolean terminal;
  private long lastShown;
  private int shownWidth;

  /**
   * How far a step is.
   *
   * @param tokens rows of tokens that passed, where the step counts them
   * @param part of the run, where it has several; else empty
   */
  record Line(
      Stage stage, long tasks, int expectedTasks, double seconds, long tokens, String part) {
    @Override
    public String toString() {
      StringBuilder line =
          new StringBuilder(
              String.format(
                  Locale.ROOT, "%-8s %d/%d tasks  %.1f s", stage, tasks, expectedTasks, seconds));
      if (tokens > 0 && seconds > 0) {
        line.append("  ").append(Amounts.rate(tokens / seconds)).append(" tokens/s");
      }
      if (tasks > 0 && !complete()) {
        line.append("  ").append(Amounts.seconds(secondsLeft())).append(" left");
      }
      if (!part.isEmpty()) {
        line.append("  ").append(part);
      }
      return line.toString();
    }

    /** If the tasks to come take as long as those before. */
    private double secondsLeft() {
      return seconds * (expectedTasks - tasks) / tasks;
    }

    boolean complete() {
      return tasks >= expectedTasks;
    }
  }

  /**
   * Progress on {@code out}.
   *
   * @param terminal whether lines can be rewritten there
   */
  public Progress(PrintStream out, boolean terminal) {
    this(out, out::println, terminal);
  }

  /**
   * Progress as one line now and then.
   *
   * @param log takes the lines
   */
  public Progress(Consumer<String> log) {
    this(null, log, false);
  }

  private Progress(PrintStream out, Consumer<String> log, boolean terminal) {
    this.out = out;
    this.log = log;
    this.terminal = terminal;
    // A short run shows no progress off a terminal: its summary is enough.
    this.lastShown = System.currentTimeMillis();
  }

  synchronized void show(Line line) {
    long now = System.currentTimeMillis();
    long pause = terminal ? REDRAW_MILLIS : QUIET_MILLIS;
    boolean soon = now - lastShown < pause && !(terminal && line.complete());
    boolean nothingYet = !terminal && line.tasks() == 0;
    if (soon || nothingYet) {
      return;
    }
    lastShown = now;
    String text = line.toString();
    if (terminal) {
      out.print("\r" + text + " ".repeat(Math.max(0, shownWidth - text.length())));
      shownWidth = text.length();
      out.flush();
    } else {
      log.accept(text);
    }
  }

  /** Clears the line. */
  synchronized void end() {
    if (terminal && shownWidth > 0) {
      out.print("\r" + " ".repeat(shownWidth) + "\r");
      out.flush();
      shownWidth = 0;
    }
  }
}
