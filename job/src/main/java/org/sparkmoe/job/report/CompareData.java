package org.sparkmoe.job.report;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** What the script of a comparison draws. */
final class CompareData {
  private CompareData() {}

  static ObjectNode of(List<Comparison> layers) {
    ObjectNode data = JsonNodeFactory.instance.objectNode();
    ArrayNode all = data.putArray("layers");
    layers.forEach(layer -> all.add(of(layer)));
    return data;
  }

  private static ObjectNode of(Comparison runs) {
    ObjectNode data = JsonNodeFactory.instance.objectNode();
    data.put("index", runs.index());
    ArrayNode shares = data.putArray("shares");
    for (ComparedLayer side : List.of(runs.first(), runs.second())) {
      double[] percent = Distributions.shares(side.experts().tokens());
      Arrays.setAll(percent, expert -> 100 * percent[expert]);
      shares.add(LayerData.numbers(percent));
    }
    runs.routes().ifPresent(routes -> data.set("moved", LayerData.counts(routes.byMoved())));
    ArrayNode stages = data.putArray("stages");
    for (StagePair stage : StagePair.of(runs)) {
      stages
          .addObject()
          .put("stage", stage.name())
          .put("first", stage.first())
          .put("second", stage.second());
    }
    runs.outputs()
        .filter(outputs -> outputs.compared() > 0)
        .ifPresent(
            outputs -> {
              ArrayNode labels = data.putArray("distances");
              for (int bin = 0; bin < outputs.histogram().length; bin++) {
                labels.add(label(bin));
              }
              data.set("tokens", LayerData.counts(outputs.histogram()));
            });
    return data;
  }

  /** The distances of a bin of {@link OutputDifferences#histogram}. */
  static String label(int bin) {
    if (bin == 0) {
      return "0";
    }
    String end = String.format(Locale.ROOT, "%.0e", OutputDifferences.lowerEnd(bin));
    if (bin == 1) {
      return "< " + end;
    }
    String from = String.format(Locale.ROOT, "%.0e", OutputDifferences.lowerEnd(bin - 1));
    return bin == OutputDifferences.BINS ? "≥ " + from : from + " …";
  }
}
