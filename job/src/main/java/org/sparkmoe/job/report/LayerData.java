package org.sparkmoe.job.report;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Arrays;
import java.util.List;

/** What the page's script draws: the numbers of layers, short enough to travel in the page. */
final class LayerData {
  /** More cannot be seen in a plot. */
  private static final MathContext DIGITS = new MathContext(5);

  private LayerData() {}

  /** The data of a page of {@code layers}. */
  static ObjectNode of(List<LayerReport> layers) {
    ObjectNode data = JsonNodeFactory.instance.objectNode();
    ArrayNode all = data.putArray("layers");
    layers.forEach(layer -> all.add(of(layer, layers.size())));
    return data;
  }

  private static ObjectNode of(LayerReport layer, int layers) {
    ExpertStats experts = layer.experts();
    RouteCounts routes = layer.routes();
    ObjectNode data = JsonNodeFactory.instance.objectNode();
    data.put("index", layer.index());
    data.put("topK", layer.topK());
    data.put("flops", layer.flopsPerToken().orElse(0));
    data.set("tokens", counts(experts.tokens()));
    data.set("millis", numbers(experts.kernelMillis()));
    if (layer.lanes() > 0) {
      ObjectNode lanes = data.putObject("lanes");
      lanes.set("placed", numbers(doubles(layer.manifest().at("/lanes/loads"))));
      lanes.set("linear", numbers(doubles(layer.manifest().at("/lanes/loads_linear"))));
      ArrayNode lane = data.putArray("lane");
      Arrays.stream(experts.lane()).forEach(lane::add);
    }
    ObjectNode pairs = data.putObject("pairs");
    int per = Coactivation.expertsPerCell(experts.experts(), layers);
    pairs.put("per", per);
    pairs.set("cells", counts(routes.pairs().cells(per)));
    ObjectNode weights = histogram(data.putObject("weights"), routes.weights());
    ArrayNode slots = weights.putArray("counts");
    Arrays.stream(routes.weightCounts()).forEach(slot -> slots.add(counts(slot)));
    histogram(data.putObject("entropy"), routes.entropies())
        .set("counts", counts(routes.entropyCounts()));
    data.put("seconds", layer.seconds());
    ArrayNode stages = data.putArray("stages");
    for (JsonNode stage : layer.manifest().path("stages")) {
      ObjectNode drawn = stages.addObject();
      List.of("stage", "seconds", "shuffle_bytes")
          .forEach(name -> drawn.set(name, stage.path(name)));
    }
    return data;
  }

  private static ObjectNode histogram(ObjectNode data, Bins bins) {
    return data.put("from", bins.from()).put("to", bins.to());
  }

  static ArrayNode counts(long[] counts) {
    ArrayNode array = JsonNodeFactory.instance.arrayNode(counts.length);
    Arrays.stream(counts).forEach(array::add);
    return array;
  }

  static ArrayNode numbers(double[] numbers) {
    ArrayNode array = JsonNodeFactory.instance.arrayNode(numbers.length);
    for (double number : numbers) {
      if (Double.isFinite(number)) {
        array.add(new BigDecimal(number).round(DIGITS).stripTrailingZeros());
      } else {
        array.addNull();
      }
    }
    return array;
  }

  private static double[] doubles(JsonNode array) {
    double[] numbers = new double[array.size()];
    Arrays.setAll(numbers, i -> array.get(i).asDouble());
    return numbers;
  }
}
