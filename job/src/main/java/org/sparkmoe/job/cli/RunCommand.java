package org.sparkmoe.job.cli;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.sparkmoe.job.plan.Amounts;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.job.resume.Resumption.Decision;
import org.sparkmoe.job.resume.Resumption.Decision.GoOn;
import org.sparkmoe.job.run.LayersDirectory;
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
      "Writes outputs/, routes/, expert_stats/, errors/, manifest.json and report.html under"
          + " --output, all or nothing; of several layers, each as a whole when it is done.",
      ExitCode.HELP,
      "",
      "  moe run --model OLMoE-1B-7B --layer 3 --input acts.parquet --output run1",
      "  moe run --config job.yaml --overwrite",
      "  moe run --config job.yaml --run-id nightly-2026-11-29",
      "  moe run --model M --layers 3,7,11 --input acts/layer={layer} --output runs"
    })
final class RunCommand implements Callable<Integer> {
  private static final Logger LOG = LoggerFactory.getLogger(RunCommand.class);

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

  @Option(
      names = "--resume",
      order = 35,
      description = {
        "Go on with an unfinished run of the same model, input and options; start afresh where"
            + " there is none, and do nothing where the run is finished.",
        "With --overwrite, an unfinished or finished run that differs does not stop it.",
      })
  private boolean resume;

  @Option(
      names = "--dry-run",
      order = 36,
      description = {
        "Check everything that is checked before the start, print the plan and stop. Unlike"
            + " explain it looks at --output.",
      })
  private boolean dryRun;

  @Override
  public Integer call() {
    List<JobRequest> requests = options.requests(output, overwrite, resume);
    try (Session session = Session.start(name(requests))) {
      SparkSession spark = session.spark();
      if (options.severalLayers()) {
        return runAll(spark, requests);
      }
      if ((resume || options.named()) && !dryRun) {
        return goOn(spark, requests.getFirst(), page(spark), spec.commandLine());
      }
      PreparedRun prepared = prepare(spark, requests.getFirst());
      return dryRun
          ? plan(List.of(prepared))
          : run(spark, prepared, page(spark), spec.commandLine()).code();
    }
  }

  private static String name(List<JobRequest> requests) {
    List<Integer> layers = requests.stream().map(JobRequest::layer).toList();
    return layers.size() == 1
        ? "Spark MoE layer " + layers.getFirst()
        : "Spark MoE layers %d to %d".formatted(layers.getFirst(), layers.getLast());
  }

  /** Everything is checked before the first layer starts. */
  private int runAll(SparkSession spark, List<JobRequest> requests) {
    LayersDirectory directory =
        LayersDirectory.open(output, spark.sparkContext().hadoopConfiguration());
    List<PreparedRun> layers = requests.stream().map(request -> prepare(spark, request)).toList();
    if (dryRun) {
      return plan(layers);
    }
    directory.begin();
    List<Ended> ended = new ArrayList<>();
    for (PreparedRun layer : layers) {
      ended.add(run(spark, layer, page(spark), spec.commandLine()));
      spec.commandLine().getOut().println();
    }
    directory.commit(ended.stream().map(Ended::summary).toList());
    return ended.stream().mapToInt(Ended::code).max().orElseThrow();
  }

  private RunReport page(SparkSession spark) {
    return new RunReport(spark, options.report());
  }

  private int plan(List<PreparedRun> layers) {
    PrintWriter out = spec.commandLine().getOut();
    for (PreparedRun layer : layers) {
      Texts.start(layer.planner(), layer.table()).forEach(out::println);
      Texts.plan(layer.plan()).forEach(out::println);
      out.println();
    }
    out.println("dry run: nothing was computed, nothing was written; %s is free".formatted(output));
    out.flush();
    return ExitCode.DONE;
  }

  private static PreparedRun prepare(SparkSession spark, JobRequest request) {
    RunDirectory.check(
        request.output(), spark.sparkContext().hadoopConfiguration(), request.overwrite());
    return PreparedRun.of(spark, request);
  }

  /** Runs one layer; the exit code. */
  static int run(SparkSession spark, JobRequest request, CommandLine line) {
    return run(spark, prepare(spark, request), new RunReport(spark, true), line).code();
  }

  /** Does what is left to do of a run that may have begun, or be finished. */
  private static int goOn(
      SparkSession spark, JobRequest request, RunReport page, CommandLine line) {
    Configuration hadoop = spark.sparkContext().hadoopConfiguration();
    PreparedRun prepared = PreparedRun.of(spark, request);
    Decision decision = Resuming.decide(prepared.planner(), prepared.table(), hadoop);
    if (decision instanceof Decision.Finished finished) {
      line.getOut().println("results  " + request.output());
      line.getOut().println("         the run was finished before: nothing is left to do");
      line.getOut().flush();
      return exitCode(request, finished.rows(), finished.errors(), line.getErr());
    }
    RunDirectory.check(request.output(), hadoop, request.overwrite());
    if (decision instanceof GoOn found) {
      Planner planner =
          Planner.of(found.pinned(request), prepared.planner().layer(), spark.sparkContext());
      return run(spark, new PreparedRun(planner, prepared.table()), Optional.of(found), page, line)
          .code();
    }
    return run(spark, prepared, page, line).code();
  }

  private static Ended run(
      SparkSession spark, PreparedRun prepared, RunReport page, CommandLine line) {
    return run(spark, prepared, Optional.empty(), page, line);
  }

  private static Ended run(
      SparkSession spark,
      PreparedRun prepared,
      Optional<GoOn> earlier,
      RunReport page,
      CommandLine line) {
    PrintWriter out = line.getOut();
    JobRequest request = prepared.planner().request();
    Texts.start(prepared.planner(), prepared.table()).forEach(out::println);
    Resuming.notes(request.output(), earlier, spark.sparkContext().hadoopConfiguration())
        .forEach(out::println);
    out.flush();
    MoeInferenceJob job =
        new MoeInferenceJob(spark, prepared.planner(), prepared.table(), progress());
    RunSummary summary;
    try (Interruption _ = Interruption.watch(job, line.getErr())) {
      summary = earlier.isPresent() ? job.resume(earlier.get(), page) : job.run(page);
    }
    Texts.summary(summary).forEach(out::println);
    page.tell(summary, line);
    return new Ended(summary, exitCode(request, summary.rows(), summary.errors(), line.getErr()));
  }

  /** A run, and the exit code that it asks for. */
  private record Ended(RunSummary summary, int code) {}

  /** A line on standard error for people, the log for everybody else. */
  private static Progress progress() {
    return System.console() != null && System.console().isTerminal()
        ? new Progress(System.err, true)
        : new Progress(LOG::info);
  }

  private static int exitCode(JobRequest request, long rows, long errors, PrintWriter err) {
    String allowed;
    if (request.maxErrors().isPresent()) {
      if (errors <= request.maxErrors().getAsLong()) {
        return ExitCode.DONE;
      }
      allowed = "--max-errors allows " + request.maxErrors().getAsLong();
    } else {
      if (errors == 0 || rows > errors) {
        return ExitCode.DONE;
      }
      allowed = "that is all of them";
    }
    err.printf(
        "moe: %s rows could not be scored, %s; the run is complete%n",
        Amounts.count(errors), allowed);
    err.flush();
    return ExitCode.TOO_MANY_ERRORS;
  }
}
