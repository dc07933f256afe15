package org.sparkmoe.job.report;

import java.util.ArrayList;
import java.util.List;
import org.sparkmoe.datasets.InputException;

/** The runs of a layer on both sides of a comparison. */
record LayerPair(RunFolder first, RunFolder second) {

  /**
   * Two runs, whatever their layers; of folders of several layers those that both have.
   *
   * @throws InputException where no layer is in both
   */
  static List<LayerPair> of(RunFolder a, RunFolder b) {
    List<RunFolder> first = a.layers();
    List<RunFolder> second = b.layers();
    if (first.size() == 1 && second.size() == 1) {
      return List.of(new LayerPair(first.getFirst(), second.getFirst()));
    }
    List<LayerPair> pairs = new ArrayList<>();
    for (RunFolder one : first) {
      second.stream()
          .filter(other -> other.layer() == one.layer())
          .findFirst()
          .ifPresent(other -> pairs.add(new LayerPair(one, other)));
    }
    if (pairs.isEmpty()) {
      throw new InputException(
          "%s has layers %s and %s has layers %s, none in both; give runs of the same layers"
              .formatted(a.path(), layers(first), b.path(), layers(second)));
    }
    return pairs;
  }

  private static String layers(List<RunFolder> runs) {
    return String.join(", ", runs.stream().map(run -> Integer.toString(run.layer())).toList());
  }
}
