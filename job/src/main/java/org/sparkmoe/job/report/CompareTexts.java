package org.sparkmoe.job.report;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.sparkmoe.job.plan.Amounts;
import org.sparkmoe.job.report.CompareFacts.Fact;

/** A comparison in a few lines. */
final class CompareTexts {
  private static final int NAMES = 6;
  private static final int WORST = 3;

  private CompareTexts() {}

  static List<String> of(Comparison runs) {
    List<String> lines = new ArrayList<>();
    lines.add("A        " + side(runs.first()));
    formats(runs.first()).ifPresent(formats -> lines.add("         " + formats));
    lines.add("B        " + side(runs.second()));
    formats(runs.second()).ifPresent(formats -> lines.add("         " + formats));
    lines.add("differ   " + differing(runs));
    runs.drift()
        .ifPresent(
            drift ->
                lines.add(
                    "routing  total variation %s, Jensen-Shannon %s bits"
                        .formatted(
                            RunTables.number(drift.totalVariation()),
                            RunTables.number(drift.jensenShannon()))));
    runs.routes().ifPresent(routes -> lines.add("         " + routes(routes)));
    lines.add(
        String.format(
            Locale.ROOT,
            "speed    %s tokens/s in A, %s in B: %.2f ×",
            Amounts.rate(runs.first().tokensPerSecond()),
            Amounts.rate(runs.second().tokensPerSecond()),
            runs.speedUp()));
    runs.outputs().ifPresent(outputs -> lines.addAll(outputs(outputs)));
    runs.notes().forEach(note -> lines.add("note     " + note));
    return lines;
  }

  private static String side(ComparedLayer layer) {
    return "%s, layer %d, %s tokens, %s"
        .formatted(
            layer.run().path(),
            layer.index(),
            Amounts.count(layer.tokens()),
            Amounts.seconds(layer.seconds()));
  }

  /** How weights and activations of the routed experts are quantized, where the manifest tells. */
  private static Optional<String> formats(ComparedLayer layer) {
    JsonNode quantization = layer.manifest().path("quantization");
    String gateUp = quantization.at("/weights/gate_up").asText();
    String down = quantization.at("/weights/down").asText();
    String input = quantization.at("/input/scheme").asText();
    String inner = quantization.at("/inner/scheme").asText();
    return gateUp.isEmpty()
        ? Optional.empty()
        : Optional.of(
            "weights %s%s; activations %s%s"
                .formatted(
                    gateUp,
                    down.equals(gateUp) ? "" : ", down " + down,
                    input,
                    inner.equals(input) ? "" : ", before down " + inner));
  }

  private static String differing(Comparison runs) {
    List<String> names =
        CompareFacts.of(runs).stream().filter(Fact::differs).map(Fact::name).toList();
    if (names.isEmpty()) {
      return "nothing: equal facts and options";
    }
    String first = String.join(", ", names.stream().limit(NAMES).toList());
    return names.size() > NAMES ? "%s and %d more".formatted(first, names.size() - NAMES) : first;
  }

  private static String routes(RouteChanges routes) {
    return "%s of %s tokens%s have other experts (%s), %s of %s slots moved"
        .formatted(
            Amounts.count(routes.changed()),
            Amounts.count(routes.tokens()),
            routes.sampled() ? " of a sample" : "",
            RunTables.percent((double) routes.changed() / routes.tokens()),
            Amounts.count(routes.moved()),
            Amounts.count(routes.slots()));
  }

  private static List<String> outputs(OutputDifferences outputs) {
    List<String> lines = new ArrayList<>();
    lines.add(
        "outputs  %s compared, %s of them equal; %s only in A, %s only in B, %s with differing errors"
            .formatted(
                Amounts.count(outputs.compared()),
                Amounts.count(outputs.equal()),
                Amounts.count(outputs.count(OutputPair.Kind.ONLY_FIRST)),
                Amounts.count(outputs.count(OutputPair.Kind.ONLY_SECOND)),
                Amounts.count(outputs.otherErrors())));
    if (outputs.compared() > outputs.equal()) {
      lines.add(
          "         relative L2: median %s, p99 %s, largest %s (tokens %s)"
              .formatted(
                  CompareTables.distance(outputs.median()),
                  CompareTables.distance(outputs.p99()),
                  CompareTables.distance(outputs.largest()),
                  String.join(
                      ", ",
                      outputs.worst().stream()
                          .limit(WORST)
                          .map(token -> Long.toString(token.tokenId()))
                          .toList())));
    }
    return lines;
  }
}
