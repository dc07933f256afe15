package org.sparkmoe.job.report;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.sparkmoe.job.plan.Amounts;

/** What a run was, in words and figures. */
final class RunFacts {
  /** Why there is no line of what a plain matrix product would take. */
  static final String FLOOR =
      "Operations of gate, up and down for each second that tasks spent in an expert: gathering its"
          + " tokens, its kernel, scattering the results, and packing its weights at the first use."
          + " Experts with few tokens are bound by reading their weights. The dashed line is all"
          + " experts together. The floor of a plain matrix product is not drawn: it would have to"
          + " be measured on the executors' processors under this run's load; moe bench measures"
          + " both in one run.";

  private RunFacts() {}

  static String modelName(LayerFigures layer) {
    String path = layer.manifest().at("/model/checkpoint").asText().replaceFirst("/+$", "");
    return "%s (%s)"
        .formatted(
            path.substring(path.lastIndexOf('/') + 1),
            layer.manifest().at("/model/family").asText());
  }

  /** The figures to see first. */
  static String figures(LayerReport layer) {
    long[] tokens = layer.experts().tokens();
    List<List<String>> figures = new ArrayList<>();
    figures.add(List.of("tokens", Amounts.count(layer.tokens())));
    figures.add(List.of("time", Amounts.seconds(layer.seconds())));
    figures.add(List.of("tokens/s", Amounts.rate(layer.tokensPerSecond())));
    figures.add(
        List.of(
            "experts used", "%d of %d".formatted(tokens.length - layer.unused(), tokens.length)));
    figures.add(
        List.of(
            "hottest over mean",
            String.format(Locale.ROOT, "%.2f ×", Distributions.hottestOverMean(tokens))));
    figures.add(List.of("Gini", String.format(Locale.ROOT, "%.3f", Distributions.gini(tokens))));
    long shuffled = 0;
    for (JsonNode stage : layer.manifest().path("stages")) {
      shuffled += stage.path("shuffle_bytes").asLong();
    }
    figures.add(List.of("shuffled", Amounts.bytes(shuffled)));
    figures.add(List.of("errors", Amounts.count(layer.manifest().at("/counts/errors").asLong())));
    return "<div class=figures>" + Html.facts(figures) + "</div>";
  }

  static String errors(LayerReport layer) {
    ErrorReasons errors = layer.errors();
    if (errors.commonest().isEmpty()) {
      return "<p class=card>None: every row was scored.</p>";
    }
    List<List<String>> rows = new ArrayList<>();
    for (ErrorReasons.Reason reason : errors.commonest()) {
      rows.add(
          List.of(reason.stage(), String.valueOf(reason.reason()), Amounts.count(reason.rows())));
    }
    if (errors.otherReasons() > 0) {
      rows.add(
          List.of(
              "",
              "%s more reasons; errors/ of the run holds all"
                  .formatted(Amounts.count(errors.otherReasons())),
              Amounts.count(errors.otherRows())));
    }
    return "<div class=card>"
        + Html.table("Rows by reason", List.of("stage", "reason", "rows#"), rows)
        + "</div>";
  }

  static String plan(LayerReport layer) {
    JsonNode manifest = layer.manifest();
    return "<div class=\"grid\"><div class=\"card\"><h3>Dispatch and backend</h3>"
        + dispatch(manifest)
        + "</div><div class=\"card\"><h3>Options</h3>"
        + Html.facts(flat(manifest.path("options"), ""))
        + "</div><div class=\"card\"><h3>Model</h3>"
        + Html.facts(flat(manifest.path("model"), ""))
        + Html.facts(flat(manifest.path("quantization"), ""))
        + "</div><div class=\"card\"><h3>Run</h3>"
        + Html.facts(run(manifest))
        + "</div></div>";
  }

  private static String dispatch(JsonNode manifest) {
    List<List<String>> facts = new ArrayList<>();
    facts.add(List.of("dispatch", mode(manifest.path("dispatch"))));
    facts.add(List.of("because", manifest.at("/dispatch/reason").asText()));
    facts.add(List.of("backend", manifest.at("/backend/chosen").asText()));
    manifest.at("/backend/refusals").forEach(not -> facts.add(List.of("not", not.asText())));
    List<List<String>> estimates = new ArrayList<>();
    for (JsonNode estimate : manifest.at("/dispatch/estimates")) {
      estimates.add(
          List.of(
              estimate.path("mode").asText(),
              Amounts.seconds(estimate.path("seconds").asDouble()),
              Amounts.bytes(estimate.path("dispatch_bytes").asLong()),
              Amounts.bytes(estimate.path("combine_bytes").asLong()),
              Amounts.bytes(estimate.path("weight_bytes_per_executor").asLong())));
    }
    return Html.facts(facts)
        + Html.table(
            "Estimates, made to compare the two",
            List.of("mode", "time#", "dispatch#", "combine#", "weights an executor#"),
            estimates);
  }

  private static String mode(JsonNode dispatch) {
    JsonNode lanes = dispatch.path("lanes");
    return dispatch.path("mode").asText()
        + (lanes.isMissingNode() ? "" : ", %d lanes".formatted(lanes.asInt()));
  }

  private static List<List<String>> run(JsonNode manifest) {
    List<List<String>> facts = new ArrayList<>();
    facts.add(List.of("written", manifest.path("written").asText()));
    facts.addAll(flat(manifest.path("versions"), ""));
    for (String name : List.of("rows", "tokens", "routes", "errors")) {
      facts.add(List.of(name, Amounts.count(manifest.path("counts").path(name).asLong())));
    }
    for (Map.Entry<String, JsonNode> memory : manifest.path("memory").properties()) {
      facts.add(
          List.of(
              memory.getKey().replace("_bytes", "").replace('_', ' ') + " memory",
              Amounts.bytes(memory.getValue().asLong())));
    }
    return facts;
  }

  /** The leaves of {@code node} with the path to each as its name. */
  static List<List<String>> flat(JsonNode node, String prefix) {
    List<List<String>> facts = new ArrayList<>();
    for (Map.Entry<String, JsonNode> entry : node.properties()) {
      String name = prefix + entry.getKey().replace('_', ' ');
      JsonNode value = entry.getValue();
      if (value.isObject()) {
        facts.addAll(flat(value, name + " "));
      } else if (value.isArray()) {
        List<String> items = new ArrayList<>();
        value.forEach(item -> items.add(item.asText()));
        facts.add(List.of(name, items.isEmpty() ? "none" : String.join(", ", items)));
      } else {
        facts.add(List.of(name, value.asText()));
      }
    }
    return facts;
  }
}
