package org.sparkmoe.job.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.job.run.UnfinishedRunException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;
import picocli.CommandLine.UnmatchedArgumentException;

/** The root command. */
@Command(
    name = "moe",
    description = "Offline inference of mixture-of-experts layers as a Spark job.",
    footer = {"", ExitCode.HELP},
    mixinStandardHelpOptions = true,
    scope = ScopeType.INHERIT,
    versionProvider = Version.class,
    sortOptions = false,
    usageHelpWidth = 100,
    subcommands = {
      RunCommand.class,
      ExplainCommand.class,
      SqlCommand.class,
      VerifyCommand.class,
      InspectCommand.class,
      QuantizeCommand.class,
      ReportCommand.class,
      DemoCommand.class,
      CompletionCommand.class,
      HelpCommand.class
    })
public final class MoeCli implements Runnable {
  private static final String COMMANDS =
      "run, explain, sql, verify, inspect, quantize, report or demo";

  @Spec private CommandSpec spec;

  @Option(
      names = "--verbose",
      order = 900,
      scope = ScopeType.INHERIT,
      description = "Show stack traces of failures.")
  private boolean verbose;

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "missing command; choose " + COMMANDS);
  }

  /**
   * Runs the command line.
   *
   * @param sparkMoe the {@code spark.moe.*} settings of the application, prefix included
   * @return the exit code
   */
  public static int execute(List<String> args, Map<String, String> sparkMoe) {
    return execute(args, sparkMoe, utf8(FileDescriptor.out), utf8(FileDescriptor.err));
  }

  static int execute(
      List<String> args, Map<String, String> sparkMoe, PrintWriter out, PrintWriter err) {
    MoeCli cli = new MoeCli();
    CommandLine line = new CommandLine(cli);
    line.setOut(out);
    line.setErr(err);
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.setUnmatchedOptionsArePositionalParams(false);
    line.setParameterExceptionHandler((e, rest) -> refuse(line, wrongUsage(e), hint(e)));
    line.setExecutionExceptionHandler((e, command, parsed) -> fail(line, e, cli.verbose));
    try {
      Defaults defaults = Defaults.of(args, sparkMoe, OptionNames.of(line));
      line.setDefaultValueProvider(defaults);
      return line.execute(args.toArray(String[]::new));
    } catch (InputException e) {
      return refuse(line, e.getMessage(), "");
    }
  }

  private static int refuse(CommandLine line, String message, String hint) {
    line.getErr().println("moe: " + oneLine(message) + hint);
    line.getErr().flush();
    return ExitCode.WRONG_INPUT;
  }

  private static String wrongUsage(ParameterException e) {
    if (!(e instanceof UnmatchedArgumentException unmatched)) {
      return e.getMessage();
    }
    String first = unmatched.getUnmatched().getFirst();
    if (e.getCommandLine().getParent() == null && !first.startsWith("-")) {
      return "unknown command %s; choose %s".formatted(first, COMMANDS);
    }
    List<String> near = unmatched.getSuggestions();
    return "unknown %s %s%s"
        .formatted(
            first.startsWith("-") ? "option" : "argument",
            first,
            near.isEmpty() ? "" : "; the nearest is " + near.getFirst());
  }

  private static String hint(ParameterException e) {
    String command = e.getCommandLine().getCommandSpec().qualifiedName();
    return " (see " + command + " --help)";
  }

  private static int fail(CommandLine line, Exception e, boolean verbose) {
    Failure failure = Failure.of(e);
    line.getErr().println("moe: " + oneLine(failure.message()));
    if (verbose) {
      e.printStackTrace(line.getErr());
    } else if (failure.code() == ExitCode.FAILED) {
      line.getErr().println("moe: add --verbose for the stack trace");
    }
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      if (cause instanceof UnfinishedRunException unfinished) {
        line.getErr().println("moe: " + oneLine(unfinished.remedy()));
      }
    }
    line.getErr().flush();
    return failure.code();
  }

  private static String oneLine(String message) {
    return message == null ? "unknown failure" : message.strip().replaceAll("\\s*\\R\\s*", " ");
  }

  private static PrintWriter utf8(FileDescriptor stream) {
    return new PrintWriter(new FileOutputStream(stream), true, StandardCharsets.UTF_8);
  }
}
