package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Command lines, run inside the tests' JVM. */
public final class Cli {
  private Cli() {}

  /** What a command line came to. */
  public record Outcome(int code, String out, String err) {

    /** Refused in one line that holds {@code words}. */
    public void isRefused(String... words) {
      assertThat(code).as(err).isEqualTo(ExitCode.WRONG_INPUT);
      assertThat(err.lines()).as(err).hasSize(1);
      assertThat(err).startsWith("moe: ").contains(words).doesNotContain("Exception", "\tat ");
    }

    /** As {@link #isRefused}; the line. */
    public String refusal(String... words) {
      isRefused(words);
      return err;
    }

    public Outcome isDone() {
      assertThat(code).as(err).isEqualTo(ExitCode.DONE);
      assertThat(err).isEmpty();
      return this;
    }
  }

  public static Outcome execute(String... args) {
    return execute(Map.of(), List.of(args));
  }

  public static Outcome execute(Map<String, String> sparkMoe, List<String> args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int code = MoeCli.execute(args, sparkMoe, new PrintWriter(out), new PrintWriter(err));
    return new Outcome(code, out.toString(), err.toString());
  }

  /** {@code args} with {@code option} set to {@code value}, or left out for null. */
  public static List<String> with(List<String> args, String option, String value) {
    List<String> changed = new ArrayList<>(args);
    int at = changed.indexOf(option);
    if (at >= 0) {
      changed.subList(at, at + 2).clear();
    }
    if (value != null) {
      changed.add(option);
      changed.add(value);
    }
    return changed;
  }
}
