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
 * @param shuffleBytes bytes written for the next step, as compressed by Spark
 */
public record StageFigures(Stage stage, double seconds, long tasks, long shuffleBytes) {

  /** The sums by step, in the order of the steps. */
  static List<StageFigures> sum(Stream<StageFigures> parts) {
    Map<Stage, StageFigures> sums = new EnumMap<>(Stage.class);
    parts.forEach(part -> sums.merge(part.stage(), part, StageFigures::plus));
    return new ArrayList<>(sums.values());
  }

  private StageFigures plus(StageFigures more) {
    return new StageFigures(
        stage, seconds + more.seconds, tasks + more.tasks, shuffleBytes + more.shuffleBytes);
  }
}
