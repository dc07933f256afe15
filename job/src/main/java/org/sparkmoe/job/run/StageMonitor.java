package org.sparkmoe.job.run;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;
import org.apache.spark.SparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerStageCompleted;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.StageInfo;
import org.sparkmoe.job.metrics.Metric;
import org.sparkmoe.job.metrics.RunMetrics;
import org.sparkmoe.job.run.Progress.Line;

/**
 * Watches Spark's stages: tells {@link Progress} and keeps the figures of each step.
 *
 * <p>One Spark job runs several of our steps, and Spark has no name for them; they are told apart
 * by the order in which its stages are submitted.
 */
final class StageMonitor extends SparkListener implements AutoCloseable {
  /** Marks Spark's jobs as ours: several runs may share a session. */
  private static final String RUN = "spark.moe.run-id";

  private final SparkContext context;
  private final String runId;
  private final Progress progress;
  private final RunMetrics metrics;
  private final double flopsPerRow;
  private final Map<Stage, Tally> tallies = new EnumMap<>(Stage.class);
  private final Map<Integer, Stage> stageOf = new HashMap<>();
  private List<Stage> sequence = List.of();
  private int submitted;
  private String part = "";

  /** Running sums of a step. */
  private static final class Tally {
    private long busyMillis;
    private long busySince;
    private int running;
    private long tasks;
    private long tokens;
    private long blocks;
    private long shuffleBytes;
    private KernelWork kernels = KernelWork.NONE;
    private int expectedTasks;

    private void started(int tasksOfStage) {
      if (running++ == 0) {
        busySince = System.currentTimeMillis();
      }
      expectedTasks += tasksOfStage;
    }

    private void ended() {
      if (--running == 0) {
        busyMillis += System.currentTimeMillis() - busySince;
      }
    }

    /** Starts from 0; what still runs is counted from now on. */
    private void restart() {
      busyMillis = 0;
      busySince = System.currentTimeMillis();
      tasks = 0;
      tokens = 0;
      blocks = 0;
      shuffleBytes = 0;
      kernels = KernelWork.NONE;
      expectedTasks = 0;
    }

    private boolean isEmpty() {
      return tasks == 0 && busyMillis == 0;
    }

    private double seconds() {
      return (busyMillis + (running > 0 ? System.currentTimeMillis() - busySince : 0)) / 1e3;
    }
  }

  /**
   * Watches until it is closed.
   *
   * @param runId of the run's Spark jobs
   * @param flopsPerRow operations of an expert for a row
   */
  StageMonitor(SparkContext context, String runId, Progress progress, double flopsPerRow) {
    this.context = context;
    this.runId = runId;
    this.progress = progress;
    this.flopsPerRow = flopsPerRow;
    this.metrics = RunMetrics.of(context, Stream.of(Stage.values()).map(Stage::toString).toList());
    context.setLocalProperty(RUN, runId);
    context.addSparkListener(this);
  }

  /**
   * What is submitted from now on belongs to {@code stages}, one Spark stage each in that order;
   * the last takes the rest.
   */
  synchronized void expect(String description, Stage... stages) {
    sequence = List.of(stages);
    submitted = 0;
    context.setJobDescription(description);
  }

  @Override
  public synchronized void onStageSubmitted(SparkListenerStageSubmitted event) {
    StageInfo info = event.stageInfo();
    if (!isOurs(event) || sequence.isEmpty() || stageOf.containsKey(info.stageId())) {
      return;
    }
    Stage stage = sequence.get(Math.min(submitted++, sequence.size() - 1));
    stageOf.put(info.stageId(), stage);
    Tally tally = tallies.computeIfAbsent(stage, absent -> new Tally());
    tally.started(info.numTasks());
    progress.show(line(stage, tally));
  }

  @Override
  public synchronized void onTaskEnd(SparkListenerTaskEnd event) {
    Stage stage = stageOf.get(event.stageId());
    if (stage == null || !event.taskInfo().successful()) {
      return;
    }
    Tally tally = tallies.get(stage);
    TaskFigures task = TaskFigures.of(event);
    tally.tasks++;
    tally.tokens += task.tokens();
    tally.blocks += blocks(stage, task);
    tally.shuffleBytes += task.shuffleBytes();
    tally.kernels = tally.kernels.plus(task.kernels());
    count(stage, task);
    progress.show(line(stage, tally));
  }

  @Override
  public synchronized void onStageCompleted(SparkListenerStageCompleted event) {
    Stage stage = stageOf.get(event.stageInfo().stageId());
    if (stage != null) {
      tallies.get(stage).ended();
    }
  }

  /** What is shown behind the steps from now on: the part of the run that they work on. */
  synchronized void part(String text) {
    part = text;
  }

  /** The figures of all steps since this was last asked, in the order of the steps. */
  List<StageFigures> take() {
    drain();
    synchronized (this) {
      List<StageFigures> figures = new ArrayList<>();
      tallies.forEach(
          (stage, tally) -> {
            if (!tally.isEmpty()) {
              figures.add(
                  new StageFigures(
                      stage,
                      tally.seconds(),
                      tally.tasks,
                      tally.tokens,
                      tally.blocks,
                      tally.shuffleBytes,
                      tally.kernels));
            }
            tally.restart();
          });
      return figures;
    }
  }

  /** Events arrive on Spark's own thread, a moment after the action they belong to returned. */
  private void drain() {
    try {
      context.listenerBus().waitUntilEmpty();
    } catch (TimeoutException e) {
      throw new IllegalStateException("Spark's listener bus is stuck", e);
    }
  }

  private void count(Stage stage, TaskFigures task) {
    String step = stage.toString();
    metrics.add(step, Metric.TASKS, 1);
    metrics.add(step, Metric.TOKENS, task.tokens());
    metrics.add(step, Metric.BLOCKS, blocks(stage, task));
    metrics.add(step, Metric.SHUFFLE_BYTES, task.shuffleBytes());
    metrics.add(step, Metric.TASK_MS, task.millis());
    metrics.add(step, Metric.KERNEL_MS, TimeUnit.NANOSECONDS.toMillis(task.kernels().nanos()));
    metrics.add(step, Metric.KERNEL_ROWS, task.kernels().rows());
    metrics.add(step, Metric.PADDED_ROWS, task.kernels().computedRows() - task.kernels().rows());
    metrics.add(step, Metric.KERNEL_MFLOP, Math.round(task.kernels().rows() * flopsPerRow / 1e6));
  }

  private static long blocks(Stage stage, TaskFigures task) {
    return stage == Stage.DISPATCH ? task.written() : 0;
  }

  private boolean isOurs(SparkListenerStageSubmitted event) {
    return event.properties() != null && runId.equals(event.properties().getProperty(RUN));
  }

  private Line line(Stage stage, Tally tally) {
    return new Line(stage, tally.tasks, tally.expectedTasks, tally.seconds(), tally.tokens, part);
  }

  @Override
  public void close() {
    context.removeSparkListener(this);
    context.setJobDescription(null);
    context.setLocalProperty(RUN, null);
    progress.end();
  }
}
