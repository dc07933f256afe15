package org.sparkmoe.job.report;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A stage of two runs, in seconds and in bytes written to be shuffled; 0 in a run without it.
 *
 * @param name as in the manifests
 */
record StagePair(String name, double first, double second, long firstBytes, long secondBytes) {

  /** All stages, and what is left of the runs' time. */
  static List<StagePair> of(Comparison runs) {
    Map<String, JsonNode> first = stages(runs.first());
    Map<String, JsonNode> second = stages(runs.second());
    Set<String> names = new LinkedHashSet<>(first.keySet());
    names.addAll(second.keySet());
    List<StagePair> pairs = new ArrayList<>();
    for (String name : names) {
      pairs.add(
          new StagePair(
              name,
              seconds(first.get(name)),
              seconds(second.get(name)),
              bytes(first.get(name)),
              bytes(second.get(name))));
    }
    double firstLeft = runs.first().seconds() - pairs.stream().mapToDouble(StagePair::first).sum();
    double secondLeft =
        runs.second().seconds() - pairs.stream().mapToDouble(StagePair::second).sum();
    pairs.add(new StagePair("other", Math.max(0, firstLeft), Math.max(0, secondLeft), 0, 0));
    return pairs;
  }

  private static Map<String, JsonNode> stages(ComparedLayer layer) {
    Map<String, JsonNode> stages = new LinkedHashMap<>();
    layer
        .manifest()
        .path("stages")
        .forEach(stage -> stages.put(stage.path("stage").asText(), stage));
    return stages;
  }

  private static double seconds(JsonNode stageOrNull) {
    return stageOrNull == null ? 0 : stageOrNull.path("seconds").asDouble();
  }

  private static long bytes(JsonNode stageOrNull) {
    return stageOrNull == null ? 0 : stageOrNull.path("shuffle_bytes").asLong();
  }
}
