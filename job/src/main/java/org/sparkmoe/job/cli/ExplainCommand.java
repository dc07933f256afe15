package org.sparkmoe.job.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.concurrent.Callable;
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

  @Option(names = "--resume", order = 35, description = "Taken and not looked at, like --output.")
  private boolean resume;

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
    List<JobRequest> requests = options.requests(output, overwrite, resume);
    PrintWriter out = spec.commandLine().getOut();
    try (Session session = Session.start("Spark MoE explain")) {
      for (JobRequest request : requests) {
        PreparedRun prepared = PreparedRun.of(session.spark(), request);
        JobPlan plan = prepared.plan();
        Texts.start(prepared.planner(), prepared.table()).forEach(out::println);
        Texts.plan(plan).forEach(out::println);
        if (expertStats != null) {
          out.println(balance(session, prepared.planner(), plan));
        }
        if (requests.size() > 1) {
          out.println();
        }
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
