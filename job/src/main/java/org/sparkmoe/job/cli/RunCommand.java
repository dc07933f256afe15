package org.sparkmoe.job.cli;

import java.io.PrintWriter;
import java.util.concurrent.Callable;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.tokens.TokenSource;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.plan.Amounts;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.job.run.MoeInferenceJob;
import org.sparkmoe.job.run.Progress;
import org.sparkmoe.job.run.RunDirectory;
import org.sparkmoe.job.run.RunSummary;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code moe run}. */
@Command(
    name = "run",
    customSynopsis = "moe run --model DIR --layer N --input PATH --output DIR [OPTION]...",
    description = "Run a layer over a table of tokens.",
    footer = {
      "",
      "Writes outputs/, routes/, expert_stats/, errors/ and manifest.json under --output, all or"
          + " nothing.",
      ExitCode.HELP,
      "",
      "  moe run --model OLMoE-1B-7B --layer 3 --input acts.parquet --output run1",
      "  moe run --config job.yaml --overwrite"
    })
final class RunCommand implements Callable<Integer> {

  @Spec private CommandSpec spec;
  @Mixin private RunOptions options;

  @Option(
      names = "--output",
      order = 32,
      required = true,
      paramLabel = "DIR",
      description = "Run folder to make.")
  private String output;

  @Option(names = "--overwrite", order = 34, description = "Replace the run that is there.")
  private boolean overwrite;

  @Override
  public Integer call() {
    JobRequest request = options.request(output, overwrite);
    try (Session session = Session.start("Spark MoE layer " + request.layer())) {
      return run(session.spark(), request, spec.commandLine());
    }
  }

  static int run(SparkSession spark, JobRequest request, CommandLine line) {
    PrintWriter out = line.getOut();
    RunDirectory.check(
        request.output(), spark.sparkContext().hadoopConfiguration(), request.overwrite());
    Planner planner = Planner.of(request, spark.sparkContext());
    TokenTable table = TokenSource.open(spark, request.tokens());
    table.requireWidth(planner.layer().spec().hidden());
    Texts.start(planner, table).forEach(out::println);
    out.flush();
    RunSummary summary = new MoeInferenceJob(spark, planner, table, progress()).run();
    Texts.summary(summary).forEach(out::println);
    out.flush();
    return exitCode(request, summary, line.getErr());
  }

  /** On standard error, so that standard output holds results only. */
  private static Progress progress() {
    return new Progress(System.err, System.console() != null && System.console().isTerminal());
  }

  private static int exitCode(JobRequest request, RunSummary summary, PrintWriter err) {
    String allowed;
    if (request.maxErrors().isPresent()) {
      if (summary.errors() <= request.maxErrors().getAsLong()) {
        return ExitCode.DONE;
      }
      allowed = "--max-errors allows " + request.maxErrors().getAsLong();
    } else {
      if (summary.tokens() > 0) {
        return ExitCode.DONE;
      }
      allowed = "that is all of them";
    }
    err.printf(
        "moe: %s rows could not be scored, %s; the run is complete%n",
        Amounts.count(summary.errors()), allowed);
    err.flush();
    return ExitCode.TOO_MANY_ERRORS;
  }
}
