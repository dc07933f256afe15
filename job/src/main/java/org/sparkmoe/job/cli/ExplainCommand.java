package org.sparkmoe.job.cli;

import java.io.PrintWriter;
import java.util.concurrent.Callable;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.sparkmoe.datasets.tokens.TokenSource;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.plan.JobPlan;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.LaneBalance;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.job.run.ExpertLoads;
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

  @Option(
      names = "--expert-stats",
      order = 133,
      paramLabel = "RUN",
      description = {
        "Folder of an earlier run of this layer, whose expert loads show how evenly lanes would be"
            + " loaded. A run itself counts its own.",
      })
  private String expertStats;

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
      JobPlan plan = planner.plan(count, rows.rdd().getNumPartitions());
      Texts.plan(plan).forEach(out::println);
      if (expertStats != null) {
        out.println(balance(session, planner, plan));
      }
      out.flush();
    }
    return ExitCode.DONE;
  }

  private String balance(Session session, Planner planner, JobPlan plan) {
    long[] loads = ExpertLoads.of(session.spark(), expertStats, planner.layer().spec().experts());
    int lanes = plan.dispatch().lanes().orElse(1);
    return plan.dispatch().lanes().isEmpty()
        ? "lanes    none: every executor holds all experts"
        : Texts.lanes(LaneBalance.of(planner.placement(lanes, loads), loads));
  }
}
