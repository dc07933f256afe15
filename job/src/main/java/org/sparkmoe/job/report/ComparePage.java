package org.sparkmoe.job.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.sparkmoe.job.plan.Amounts;

/** The page of two runs side by side: a layer, or several that the reader chooses from. */
final class ComparePage {
  /** Rows of all tables of experts on a page. */
  private static final int MOST_ROWS = 1000;

  private ComparePage() {}

  /**
   * The page.
   *
   * @param layers at least one
   */
  static String of(List<Comparison> layers) {
    Comparison first = layers.getFirst();
    String what =
        layers.size() == 1 ? "Layer %d".formatted(first.index()) : layers.size() + " layers";
    String body =
        """
        <header><h1>%s <small>run A beside run B</small></h1>%s</header>
        %s
        <section aria-labelledby="runs"><h2 id="runs">Runs</h2><div class="card">%s%s</div></section>
        <section aria-labelledby="routing"><h2 id="routing">Routing</h2><div class="grid">%s</div></section>
        <section aria-labelledby="speed"><h2 id="speed">Speed</h2><div class="grid">%s</div></section>
        <section aria-labelledby="outputs"><h2 id="outputs">Outputs</h2><div class="grid">%s</div></section>
        """
            .formatted(
                Html.text(what),
                Layer.chooser(layers),
                Layer.each(layers, ComparePage::figures),
                Layer.each(layers, ComparePage::notes),
                Layer.each(layers, CompareTables::facts),
                routing(layers),
                speed(layers),
                outputs(layers));
    String title = what + " of two runs · Spark MoE";
    return Page.of(title, body, CompareData.of(layers), "compare.js");
  }

  /** The figures to see first. */
  private static String figures(Comparison runs) {
    List<List<String>> figures = new ArrayList<>();
    figures.add(List.of("speed, B over A", String.format(Locale.ROOT, "%.2f ×", runs.speedUp())));
    runs.drift()
        .ifPresent(
            drift -> {
              figures.add(List.of("total variation", RunTables.number(drift.totalVariation())));
              figures.add(List.of("Jensen-Shannon, bits", RunTables.number(drift.jensenShannon())));
            });
    runs.routes()
        .ifPresent(
            routes -> {
              figures.add(
                  List.of(
                      "tokens with other experts",
                      RunTables.percent((double) routes.changed() / routes.tokens())));
              figures.add(
                  List.of(
                      "slots moved", RunTables.percent((double) routes.moved() / routes.slots())));
            });
    runs.outputs()
        .ifPresent(
            outputs -> {
              figures.add(List.of("outputs compared", Amounts.count(outputs.compared())));
              if (outputs.compared() > 0) {
                figures.add(List.of("largest distance", CompareTables.distance(outputs.largest())));
              }
            });
    return "<div class=figures>" + Html.facts(figures) + "</div>";
  }

  private static String notes(Comparison runs) {
    StringBuilder notes =
        new StringBuilder(
            Html.facts(
                List.of(List.of("A", side(runs.first())), List.of("B", side(runs.second())))));
    for (String note : runs.notes()) {
      notes.append("<p>").append(Html.text(note)).append("</p>");
    }
    return notes.toString();
  }

  private static String side(ComparedLayer layer) {
    return "%s · %s, layer %d, %s tokens, written %s"
        .formatted(
            layer.run().path(),
            RunFacts.modelName(layer),
            layer.index(),
            Amounts.count(layer.tokens()),
            layer.manifest().path("written").asText("–"));
  }

  private static String routing(List<Comparison> layers) {
    int most = Math.max(8, MOST_ROWS / layers.size());
    return Html.plot(
            "tokens",
            "Tokens per expert",
            "Share of all routes of a run that chose the expert.",
            Html.choice("order", "Order", "id", "by expert id", "change", "by change, B − A"),
            Layer.each(layers, runs -> CompareTables.experts(runs, most)),
            "wide")
        + Html.plot(
            "moved",
            "Tokens with other experts",
            "Tokens by how many of their slots hold an expert that the other run did not choose for"
                + " them, in whatever order.",
            "",
            Layer.each(layers, CompareTables::moved),
            "")
        + "<div class=card><h3>Evenness</h3>"
        + Layer.each(layers, CompareTables::balance)
        + "</div>";
  }

  private static String speed(List<Comparison> layers) {
    return Html.plot(
        "stages",
        "Time by stage",
        "“Other” is what is left of a run: planning, starting and committing.",
        "",
        Layer.each(layers, CompareTables::stages),
        "wide");
  }

  private static String outputs(List<Comparison> layers) {
    return Html.plot(
            "distances",
            "Distance of outputs",
            "Tokens by the L2 norm of B − A over that of A, in half decades; the first bar is"
                + " tokens that are equal in every value.",
            "",
            Layer.each(layers, CompareTables::histogram),
            "wide")
        + "<div class=card><h3>Tokens</h3>"
        + Layer.each(layers, CompareTables::tokens)
        + "</div><div class=card><h3>Farthest tokens</h3>"
        + Layer.each(layers, CompareTables::worst)
        + "</div>";
  }
}
