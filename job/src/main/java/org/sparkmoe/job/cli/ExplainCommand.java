package org.sparkmoe.job.cli;

import java.io.PrintWriter;
import java.util.concurrent.Callable;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.sparkmoe.datasets.tokens.TokenSource;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.Planner;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code moe explain}. */
@Command(
    name = "explain",
    customSynopsis = "moe explain --model DIR --layer N --input PATH [OPTION]...",
    description = {
      "Show what run would do: plan, cost, memory, backend and refusals.",
      "Counts the input's rows; computes and writes nothing."
    },
    footer = {"", ExitCode.HELP})
final class ExplainCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private RunOptions options;

  @Option(
      names = "--output",
      order = 32,
      paramLabel = "DIR",
      defaultValue = "-",
      description = "Taken, so that a run's options can be used unchanged; not looked at.")
  private String output;

  @Option(
      names = "--overwrite",
      order = 34,
      description = "Taken and not looked at, like --output.")
  private boolean overwrite;

  @Override
  public Integer call() {
    JobRequest request = options.request(output, overwrite);
    PrintWriter out = spec.commandLine().getOut();
    try (Session session = Session.start("Spark MoE explain")) {
      Planner planner = Planner.of(request, session.spark().sparkContext());
      TokenTable table = TokenSource.open(session.spark(), request.tokens());
      table.requireWidth(planner.layer().spec().hidden());
      Dataset<Row> rows = table.rows();
      long count = rows.select(TokenTable.TOKEN_ID).count();
      Texts.start(planner, table).forEach(out::println);
      Texts.plan(planner.plan(count, rows.rdd().getNumPartitions())).forEach(out::println);
      out.flush();
    }
    return ExitCode.DONE;
  }
}
