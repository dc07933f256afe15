package org.sparkmoe.job.report;

import java.util.List;
import org.sparkmoe.job.plan.Amounts;

/** The page of one run: a layer, or several that the reader chooses from. */
final class RunPage {
  private RunPage() {}

  /**
   * The page.
   *
   * @param layers at least one
   */
  static String of(List<LayerReport> layers) {
    LayerReport first = layers.getFirst();
    String model = RunFacts.modelName(first);
    String what =
        layers.size() == 1
            ? "Layer %d".formatted(first.index())
            : "%d layers".formatted(layers.size());
    String body =
        """
        <header><h1>%s <small>%s</small></h1>%s</header>
        %s
        <section aria-labelledby="load"><h2 id="load">Experts</h2><div class="grid">%s</div></section>
        <section aria-labelledby="router"><h2 id="router">Router</h2><div class="grid">%s</div></section>
        <section aria-labelledby="time"><h2 id="time">Time and bytes</h2><div class="grid">%s</div></section>
        <section aria-labelledby="errors"><h2 id="errors">Rows that could not be scored</h2>%s</section>
        <section aria-labelledby="plan"><h2 id="plan">Plan</h2>%s</section>
        """
            .formatted(
                Html.text(what),
                Html.text(model),
                Layer.chooser(layers),
                Layer.each(layers, RunFacts::figures),
                overview(layers) + experts(layers),
                router(layers),
                time(layers),
                Layer.each(layers, RunFacts::errors),
                Layer.each(layers, RunFacts::plan));
    return Page.of(what + " of " + model + " · Spark MoE", body, LayerData.of(layers), "run.js");
  }

  private static String overview(List<LayerReport> layers) {
    return layers.size() == 1
        ? ""
        : Html.plot(
            "overview",
            "Load of experts in all layers",
            "Tokens of an expert over the mean of its layer. A click chooses the layer.",
            "<p class=readout id=overview-readout></p>",
            RunTables.layers(layers),
            "wide");
  }

  private static String experts(List<LayerReport> layers) {
    int most = RunTables.rowsOfEach(layers.size());
    String lanes =
        layers.stream().allMatch(layer -> layer.lanes() == 0)
            ? ""
            : Html.plot(
                "lanes",
                "Load of lanes",
                "Assignments of tokens to experts by lane: with experts in equal ranges, and"
                    + " as they were placed. The slowest lane is what the run waits for.",
                "",
                Layer.each(layers, RunTables::lanes),
                "");
    String tokens =
        Html.plot(
            "tokens",
            "Tokens per expert",
            "The dashed line is the mean: what every expert would get if the router were even.",
            Html.choice("order", "Order", "id", "by expert id", "load", "by load"),
            Layer.each(layers, layer -> RunTables.experts(layer, most)),
            "wide");
    String pairs =
        Html.plot(
            "pairs",
            "Experts chosen together",
            "Tokens that chose both experts; or their number over what it would be if experts were"
                + " chosen independently, with the loads that they have.",
            Html.choice("measure", "Colour", "lift", "over what is expected", "tokens", "by tokens")
                + "<p class=readout id=pairs-readout></p>",
            Layer.each(layers, RunTables::pairs),
            lanes.isEmpty() ? "" : "two");
    String lorenz =
        Html.plot(
            "lorenz",
            "Lorenz curve",
            "The share of all routes that the least used experts have together. The further below"
                + " the diagonal, the less even; the Gini coefficient is twice the area between.",
            "",
            RunTables.balance(layers),
            "");
    return tokens + pairs + lorenz + lanes;
  }

  private static String router(List<LayerReport> layers) {
    String entropy =
        layers.getFirst().topK() < 2
            ? ""
            : Html.plot(
                "entropy",
                "Entropy of a token's weights",
                "0 bits: one expert has all the weight. %.2f bits (log2 of %d): all chosen experts weigh"
                        .formatted(
                            Math.log(layers.getFirst().topK()) / Math.log(2),
                            layers.getFirst().topK())
                    + " the same. Of the weights of the chosen experts, scaled to a sum of 1; the"
                    + " router's scores of the others are not kept.",
                "",
                Layer.each(layers, RunTables::entropy),
                "");
    return entropy
        + Html.plot(
            "weights",
            "Router weights",
            "Routes by weight, as it multiplies the expert's output; slot 0 is a token's first"
                + " choice.",
            "",
            Layer.each(layers, RunTables::weights),
            "");
  }

  private static String time(List<LayerReport> layers) {
    boolean rates = layers.stream().anyMatch(layer -> layer.gigaflops() > 0);
    return Html.plot(
            "stages",
            "Time by stage",
            "Stages follow one another; “other” is what is left of the run: planning, starting and"
                + " committing. This page is made after that. The table has the time inside the"
                + " kernels of experts, of all threads together, and the rows computed only to fill"
                + " tiles.",
            "",
            Layer.each(layers, RunTables::stages),
            "")
        + Html.plot(
            "bytes",
            "Bytes by stage",
            "Written by a stage to be shuffled to the next, as compressed by Spark.",
            "",
            Layer.each(layers, RunTables::bytes),
            "")
        + (rates
            ? Html.plot(
                "rates",
                "Speed of the experts' kernels",
                RunFacts.FLOOR,
                "",
                Layer.each(
                    layers, layer -> RunTables.rates(layer, RunTables.rowsOfEach(layers.size()))),
                "wide")
            : "");
  }

  /** How much of the tokens was counted, where it is not all. */
  static String counted(LayerReport layer) {
    return layer.routes().sampled()
        ? " Of a sample of %s tokens, chosen by their ids."
            .formatted(Amounts.count(layer.routes().tokens()))
        : "";
  }
}
