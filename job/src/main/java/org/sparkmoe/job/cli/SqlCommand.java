package org.sparkmoe.job.cli;

import java.io.BufferedReader;
import java.io.Console;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.job.sql.Answers;
import org.sparkmoe.job.sql.RunViews;
import org.sparkmoe.job.sql.Statements;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code moe sql}. */
@Command(
    name = "sql",
    customSynopsis = "moe sql [RUN] [-e QUERY | -f FILE] [OPTION]...",
    description = {
      "Ask the tables of a run in SQL: outputs, routes, expert_stats and errors are views, and the"
          + " functions moe_... are there. Without -e and -f, statements are read from standard"
          + " input.",
    },
    footer = {
      "",
      ExitCode.HELP,
      "",
      "  moe sql run1 -e 'SELECT * FROM expert_stats ORDER BY tokens DESC LIMIT 5'",
      "  moe sql run1 -e 'SELECT * FROM routes' --format json > routes.json",
      "  moe sql run1 -f questions.sql",
    })
final class SqlCommand implements Callable<Integer> {
  private static final String STANDARD_INPUT = "-";
  private static final String PROMPT = "moe> ";
  private static final String MORE = "   > ";

  @Spec private CommandSpec spec;

  @Parameters(
      arity = "0..1",
      paramLabel = "RUN",
      description =
          "Folder of a run. That of several layers has the layer in a column of each view.")
  private String run;

  @Option(
      names = {"-e", "--execute"},
      order = 10,
      paramLabel = "QUERY",
      description = "Statements to run, with semicolons between them.")
  private String query;

  @Option(
      names = {"-f", "--file"},
      order = 20,
      paramLabel = "FILE",
      description = "Local file of statements; - is standard input.")
  private String file;

  @Option(
      names = "--format",
      order = 30,
      paramLabel = "FORM",
      defaultValue = "table",
      description = "table, or json for an object a line, of all rows. Default: table.")
  private Answers.Form form;

  @Option(
      names = "--rows",
      order = 40,
      paramLabel = "N",
      defaultValue = "100",
      description = "Print N rows of a table at most. Default: 100.")
  private int rows;

  @Option(
      names = "--width",
      order = 50,
      paramLabel = "N",
      defaultValue = "80",
      description = "Cut cells of a table after N characters, 0 never. Default: 80.")
  private int width;

  @Override
  public Integer call() {
    if (query != null && file != null) {
      throw new InputException("-e and -f are both given; leave one out");
    }
    if (rows < 1 || width < 0) {
      throw new InputException(
          rows < 1
              ? "--rows %d must be at least 1".formatted(rows)
              : "--width %d must be at least 0".formatted(width));
    }
    // before Spark starts, which takes seconds
    Optional<List<String>> statements = statements();
    try (Session session = Session.start("Spark MoE sql")) {
      if (run != null) {
        RunViews.create(session.spark(), run);
      }
      PrintWriter out = spec.commandLine().getOut();
      Answers answers = new Answers(session.spark(), out, form, rows, width);
      if (statements.isPresent()) {
        statements.get().forEach(answers::print);
      } else {
        converse(answers);
      }
    }
    return ExitCode.DONE;
  }

  /** Those that are there before the first is run; empty where they are typed. */
  private Optional<List<String>> statements() {
    try {
      if (query != null) {
        return Optional.of(Statements.of(query));
      }
      if (file != null && !file.equals(STANDARD_INPUT)) {
        return Optional.of(Statements.of(Files.readString(Path.of(file))));
      }
      if (file == null && isTerminal()) {
        return Optional.empty();
      }
      return Optional.of(
          Statements.of(new String(System.in.readAllBytes(), StandardCharsets.UTF_8)));
    } catch (NoSuchFileException e) {
      throw new InputException(
          "%s does not exist; give a local file of SQL statements".formatted(file), e);
    } catch (IOException e) {
      throw new InputException(
          "%s cannot be read as text; give a local file of SQL statements"
              .formatted(file == null ? "standard input" : file),
          e);
    }
  }

  private static boolean isTerminal() {
    Console console = System.console();
    return console != null && console.isTerminal();
  }

  /**
   * Answers what is typed, until the end of input or {@code quit}. A wrong statement ends nothing.
   */
  private void converse(Answers answers) {
    PrintWriter out = spec.commandLine().getOut();
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    StringBuilder typed = new StringBuilder();
    try {
      while (true) {
        out.print(typed.isEmpty() ? PROMPT : MORE);
        out.flush();
        String line = in.readLine();
        if (line == null || (typed.isEmpty() && line.strip().matches("(?i)(quit|exit);?"))) {
          out.println();
          return;
        }
        typed.append(line).append('\n');
        if (line.stripTrailing().endsWith(";")) {
          answer(answers, typed.toString());
          typed.setLength(0);
        } else if (typed.toString().isBlank()) {
          typed.setLength(0);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void answer(Answers answers, String typed) {
    for (String statement : Statements.of(typed)) {
      try {
        answers.print(statement);
      } catch (RuntimeException e) {
        spec.commandLine().getErr().println("moe: " + Failure.of(e).message());
        spec.commandLine().getErr().flush();
        return;
      }
    }
  }
}
