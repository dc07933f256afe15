package org.sparkmoe.job.run;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.tokens.InputFailures;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.job.resume.Resumption.Decision.GoOn;
import org.sparkmoe.job.resume.RunState;
import org.sparkmoe.job.resume.StateFolder;

/**
 * One layer over one table of tokens: read → route → dispatch → experts → combine → write.
 *
 * <p>Tokens are read twice. The first pass routes them, which gives the {@code routes} table and
 * exact counts to plan with; the second computes, unit by unit. Routing costs little beside the
 * experts, holding every vector between the passes would cost much. Where ids may repeat, they are
 * looked at alone before; where rows are bad, they are read once more for the {@code errors} table;
 * where one scale is for the intermediates of all tokens, a pass through dispatch and experts
 * measures them first.
 *
 * <p>What is finished is kept in the staging folder, so that another driver can go on where this
 * one is interrupted.
 */
public final class MoeInferenceJob {
  private final SparkSession spark;
  private final Planner planner;
  private final TokenTable table;
  private final Progress progress;
  private volatile RunDirectory directory;

  /**
   * A job.
   *
   * @param planner of the request
   * @param table its tokens
   */
  public MoeInferenceJob(SparkSession spark, Planner planner, TokenTable table, Progress progress) {
    this.spark = spark;
    this.planner = planner;
    this.table = table;
    this.progress = progress;
  }

  /**
   * Runs it from the beginning and commits the run folder.
   *
   * @throws UnfinishedRunException where it fails and what is finished is kept
   */
  public RunSummary run() {
    return run(folder -> {});
  }

  /**
   * As above.
   *
   * @param extra adds to the folder when its tables and its manifest are written
   */
  public RunSummary run(RunExtra extra) {
    return run(RunDirectory.open(output(), hadoop()), Optional.empty(), extra);
  }

  /**
   * Takes over an unfinished run of the same request, computes what is missing and commits the run
   * folder.
   *
   * @param extra adds to the folder when its tables and its manifest are written
   * @throws UnfinishedRunException where it fails once more
   */
  public RunSummary resume(GoOn earlier, RunExtra extra) {
    return run(
        RunDirectory.takeOver(earlier.staging(), output(), hadoop()),
        Optional.of(earlier.state()),
        extra);
  }

  /** Where what is finished would be kept if the process ended now; empty where nothing would. */
  public Optional<String> unfinished() {
    return Optional.ofNullable(directory).flatMap(RunDirectory::unfinished);
  }

  /** The beginning of a driver's work, as it is kept. */
  private record Attempt(String began) {
    private static String file(int attempt) {
      return String.format(Locale.ROOT, "attempt-%05d.json", attempt);
    }
  }

  private RunSummary run(RunDirectory opened, Optional<RunState> earlier, RunExtra extra) {
    long started = System.nanoTime();
    List<FinishedUnit> finished = new ArrayList<>();
    int units = earlier.map(RunState::units).orElse(1);
    try (opened;
        StageMonitor monitor =
            new StageMonitor(
                spark.sparkContext(),
                planner.runId(),
                progress,
                planner.layer().spec().expertFlops())) {
      directory = opened;
      try {
        List<String> attempts = attempts(opened.state());
        RunContext run = new RunContext(spark, planner, table, opened, monitor);
        Preparation preparation = new Preparation(run);
        Prepared prepared =
            earlier.isPresent() ? preparation.restored(earlier.get()) : preparation.afresh();
        units = prepared.state().units();
        OutputFiles files = new OutputFiles(opened, units);
        new UnitPass(run, prepared, files, attempts.size()).complete(finished);
        return new Completion(run, prepared, finished).complete(files, attempts, started, extra);
      } catch (Exception e) {
        // Exception: Spark throws checked ones that its signatures do not declare.
        boolean wrongInput = finished.isEmpty() && InputFailures.find(e).isPresent();
        if (wrongInput && earlier.isEmpty()) {
          // With the input put right, it is another run.
          opened.drop();
        }
        if (wrongInput || opened.unfinished().isEmpty()) {
          throw e;
        }
        throw new UnfinishedRunException(e, opened.unfinished().get(), finished.size(), units);
      }
    }
  }

  /** When drivers began, this one among them. */
  private static List<String> attempts(StateFolder state) {
    List<String> began = new ArrayList<>();
    Optional<Attempt> earlier = state.read(Attempt.file(1), Attempt.class);
    while (earlier.isPresent()) {
      began.add(earlier.get().began());
      earlier = state.read(Attempt.file(began.size() + 1), Attempt.class);
    }
    began.add(Instant.now().toString());
    state.write(Attempt.file(began.size()), new Attempt(began.getLast()));
    return began;
  }

  private String output() {
    return planner.request().output();
  }

  private Configuration hadoop() {
    return spark.sparkContext().hadoopConfiguration();
  }
}
