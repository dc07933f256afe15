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
import org.sparkmoe.job.resume.Resumption.Counts;
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
            + " there is none, and do nothing where the run is finished. Of several layers, each.",
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
      Checked checked = check(spark, requests.getFirst());
      return dryRun
          ? plan(List.of(checked.prepared()))
          : go(spark, checked, page(spark), spec.commandLine()).code();
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
    List<Checked> layers = requests.stream().map(request -> check(spark, request)).toList();
    if (dryRun) {
      return plan(layers.stream().map(Checked::prepared).toList());
    }
    boolean finished =
        layers.stream().allMatch(layer -> layer.decision() instanceof Decision.Finished)
            && directory.names(requests.stream().map(JobRequest::layer).toList());
    if (!finished) {
      directory.begin();
    }
    List<Ended> ended = new ArrayList<>();
    for (Checked layer : layers) {
      ended.add(go(spark, layer, page(spark), spec.commandLine()));
      spec.commandLine().getOut().println();
    }
    if (!finished) {
      directory.commit(ended.stream().map(Ended::layer).toList());
    }
    spec.commandLine().getOut().flush();
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

  /** A run that can start, and what is to be done for it. */
  private record Checked(PreparedRun prepared, Decision decision) {

    static Checked afresh(SparkSession spark, JobRequest request) {
      RunDirectory.check(
          request.output(), spark.sparkContext().hadoopConfiguration(), request.overwrite());
      return new Checked(PreparedRun.of(spark, request), new Decision.Afresh());
    }

    /** Where a run may have begun, or be finished. */
    static Checked resumed(SparkSession spark, JobRequest request) {
      Configuration hadoop = spark.sparkContext().hadoopConfiguration();
      PreparedRun prepared = PreparedRun.of(spark, request);
      Decision decision = Resuming.decide(prepared.planner(), prepared.table(), hadoop);
      return switch (decision) {
        case Decision.Finished _, Decision.PutInPlace _ -> new Checked(prepared, decision);
        case Decision.Afresh _ -> {
          RunDirectory.check(request.output(), hadoop, request.overwrite());
          yield new Checked(prepared, decision);
        }
        case GoOn found -> {
          RunDirectory.check(request.output(), hadoop, request.overwrite());
          Planner pinned =
              Planner.of(found.pinned(request), prepared.planner().layer(), spark.sparkContext());
          yield new Checked(new PreparedRun(pinned, prepared.table()), decision);
        }
      };
    }

    JobRequest request() {
      return prepared.planner().request();
    }
  }

  private Checked check(SparkSession spark, JobRequest request) {
    return (resume || options.named()) && !dryRun
        ? Checked.resumed(spark, request)
        : Checked.afresh(spark, request);
  }

  /** Runs one layer; the exit code. */
  static int run(SparkSession spark, JobRequest request, CommandLine line) {
    return go(spark, Checked.afresh(spark, request), new RunReport(spark, true), line).code();
  }

  private static Ended go(SparkSession spark, Checked run, RunReport page, CommandLine line) {
    return switch (run.decision()) {
      case Decision.Afresh _ -> compute(spark, run.prepared(), Optional.empty(), page, line);
      case GoOn found -> compute(spark, run.prepared(), Optional.of(found), page, line);
      case Decision.Finished finished -> {
        line.getOut().println("results  " + run.request().output());
        line.getOut().println("         the run was finished before: nothing is left to do");
        yield ended(run.request(), finished.counts(), line);
      }
      case Decision.PutInPlace computed -> {
        line.getOut().println("resume   " + Resuming.plain(computed.staging()));
        RunDirectory.complete(
            computed.staging(), run.request().output(), spark.sparkContext().hadoopConfiguration());
        line.getOut().println("results  " + run.request().output());
        line.getOut().println("         the run was computed before: now it is in its place");
        yield ended(run.request(), computed.counts(), line);
      }
    };
  }

  private static Ended ended(JobRequest request, Counts counts, CommandLine line) {
    line.getOut().flush();
    return new Ended(
        new LayersDirectory.Layer(
            request.layer(), request.output(), counts.rows(), counts.errors(), counts.seconds()),
        exitCode(request, counts.rows(), counts.errors(), line.getErr()));
  }

  private static Ended compute(
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
    return ended(request, new Counts(summary.rows(), summary.errors(), summary.seconds()), line);
  }

  /** A run, and the exit code that it asks for. */
  private record Ended(LayersDirectory.Layer layer, int code) {}

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
