package org.sparkmoe.job.run;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * What a step took.
 *
 * @param stage the step
 * @param seconds wall time in which Spark worked on it
 * @param tasks tasks that succeeded
 * @param tokens rows of tokens read, or written where nothing is read
 * @param blocks made for lanes
 * @param shuffleBytes bytes written for the next step, as compressed by Spark
 * @param kernels what the kernels of experts did
 */
public record StageFigures(
    Stage stage,
    double seconds,
    long tasks,
    long tokens,
    long blocks,
    long shuffleBytes,
    KernelWork kernels) {

  public StageFigures {
    // A state that an earlier version wrote does not tell of kernels.
    kernels = kernels == null ? KernelWork.NONE : kernels;
  }

  /** The sums by step, in the order of the steps. */
  static List<StageFigures> sum(Stream<StageFigures> parts) {
    Map<Stage, StageFigures> sums = new EnumMap<>(Stage.class);
    parts.forEach(part -> sums.merge(part.stage(), part, StageFigures::plus));
    return new ArrayList<>(sums.values());
  }

  private StageFigures plus(StageFigures more) {
    return new StageFigures(
        stage,
        seconds + more.seconds,
        tasks + more.tasks,
        tokens + more.tokens,
        blocks + more.blocks,
        shuffleBytes + more.shuffleBytes,
        kernels.plus(more.kernels));
  }
}
