package org.sparkmoe.job.report;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.sparkmoe.job.plan.Amounts;

/** The tables behind the plots of a run. */
final class RunTables {
  /** Rows of all tables of experts on a page: beyond, a page takes long to open. */
  private static final int MOST_ROWS = 1000;

  private static final int PAIRS = 20;

  private static final String NONE = "–";

  private RunTables() {}

  /** Experts that a table lists, where there are {@code layers} of them. */
  static int rowsOfEach(int layers) {
    return Math.max(8, MOST_ROWS / layers);
  }

  /** The busiest {@code most} experts. */
  static String experts(LayerReport layer, int most) {
    ExpertStats experts = layer.experts();
    double[] shares = Distributions.shares(experts.tokens());
    List<List<String>> rows =
        busiest(experts, most)
            .map(
                e ->
                    List.of(
                        Integer.toString(e),
                        Amounts.count(experts.tokens()[e]),
                        percent(shares[e]),
                        number(
                            experts.tokens()[e] == 0
                                ? 0
                                : experts.weightMass()[e] / experts.tokens()[e]),
                        number(experts.kernelMillis()[e]),
                        number(layer.gigaflops(e)),
                        experts.lane()[e] < 0 ? "–" : Integer.toString(experts.lane()[e]),
                        experts.copies()[e] == 0 ? "–" : Integer.toString(experts.copies()[e])))
            .toList();
    String caption =
        rows.size() == experts.experts()
            ? "Experts, the busiest first"
            : "The %d busiest of %d experts; expert_stats/ of the run holds all"
                .formatted(rows.size(), experts.experts());
    return Html.table(
        caption,
        List.of(
            "expert#",
            "tokens#",
            "share#",
            "mean weight#",
            "kernel ms#",
            "GFLOP/s#",
            "lane#",
            "lanes#"),
        rows);
  }

  /** The speed of the busiest {@code most} experts. */
  static String rates(LayerReport layer, int most) {
    ExpertStats experts = layer.experts();
    return Html.table(
        "All experts together: %s GFLOP in %s of kernel time of all tasks, %s GFLOP/s"
            .formatted(
                number(layer.gigaflops() * layer.kernelMillis() / 1e3),
                Amounts.seconds(layer.kernelMillis() / 1e3),
                number(layer.gigaflops())),
        List.of("expert#", "tokens#", "kernel ms#", "GFLOP/s#"),
        busiest(experts, most)
            .map(
                e ->
                    List.of(
                        Integer.toString(e),
                        Amounts.count(experts.tokens()[e]),
                        number(experts.kernelMillis()[e]),
                        number(layer.gigaflops(e))))
            .toList());
  }

  /** Experts by falling load, and of equal ones the lower ids first. */
  private static Stream<Integer> busiest(ExpertStats experts, int most) {
    return IntStream.range(0, experts.experts())
        .boxed()
        .sorted(Comparator.comparingLong((Integer e) -> -experts.tokens()[e]))
        .limit(most);
  }

  /** Evenness of each layer. */
  static String balance(List<LayerReport> layers) {
    return Html.table(
        "How even the load is",
        List.of(
            "layer#",
            "Gini#",
            "hottest over mean#",
            "entropy of loads, bits#",
            "even would be#",
            "experts unused#"),
        layers.stream()
            .map(
                layer -> {
                  long[] tokens = layer.experts().tokens();
                  return List.of(
                      Integer.toString(layer.index()),
                      number(Distributions.gini(tokens)),
                      number(Distributions.hottestOverMean(tokens)),
                      number(Distributions.entropy(Distributions.shares(tokens))),
                      number(Math.log(tokens.length) / Math.log(2)),
                      Long.toString(layer.unused()));
                })
            .toList());
  }

  /** One row a layer. */
  static String layers(List<LayerReport> layers) {
    return Html.table(
        "Layers",
        List.of(
            "layer#",
            "tokens#",
            "errors#",
            "seconds#",
            "Gini#",
            "hottest over mean#",
            "experts unused#",
            "GFLOP/s#"),
        layers.stream()
            .map(
                layer ->
                    List.of(
                        Integer.toString(layer.index()),
                        Amounts.count(layer.tokens()),
                        Amounts.count(layer.manifest().at("/counts/errors").asLong()),
                        number(layer.seconds()),
                        number(Distributions.gini(layer.experts().tokens())),
                        number(Distributions.hottestOverMean(layer.experts().tokens())),
                        Long.toString(layer.unused()),
                        number(layer.gigaflops())))
            .toList());
  }

  static String lanes(LayerReport layer) {
    JsonNode placed = layer.manifest().at("/lanes/loads");
    JsonNode linear = layer.manifest().at("/lanes/loads_linear");
    if (layer.lanes() == 0) {
      return "<p>No lanes: every executor held all experts.</p>";
    }
    return Html.table(
        "Assignments by lane; busiest over mean %s, in ranges %s"
            .formatted(
                number(layer.manifest().at("/lanes/busiest_over_mean").asDouble()),
                number(layer.manifest().at("/lanes/busiest_over_mean_linear").asDouble())),
        List.of("lane#", "in equal ranges#", "as placed#"),
        IntStream.range(0, placed.size())
            .mapToObj(
                lane ->
                    List.of(
                        Integer.toString(lane),
                        Amounts.rate(linear.path(lane).asDouble()),
                        Amounts.rate(placed.path(lane).asDouble())))
            .toList());
  }

  static String pairs(LayerReport layer) {
    double[] shares = Distributions.shares(layer.experts().tokens());
    double squares = 0;
    for (double share : shares) {
      squares += share * share;
    }
    double perExpected = layer.routes().pairs().total() / Math.max(1e-300, (1 - squares) / 2);
    List<List<String>> rows = new ArrayList<>();
    for (Coactivation.Pair pair : layer.routes().pairs().strongest(PAIRS)) {
      double expected = perExpected * shares[pair.first()] * shares[pair.second()];
      rows.add(
          List.of(
              Integer.toString(pair.first()),
              Integer.toString(pair.second()),
              Amounts.count(pair.tokens()),
              number(pair.tokens() / expected)));
    }
    return Html.table(
        "The %d commonest pairs.".formatted(rows.size()) + RunPage.counted(layer),
        List.of("expert#", "expert#", "tokens#", "over what is expected#"),
        rows);
  }

  static String entropy(LayerReport layer) {
    return histogram(
        "Tokens by entropy in bits." + RunPage.counted(layer),
        "tokens#",
        layer.routes().entropies(),
        layer.routes().entropyCounts());
  }

  static String weights(LayerReport layer) {
    long[][] slots = layer.routes().weightCounts();
    long[] all = new long[layer.routes().weights().count()];
    for (long[] slot : slots) {
      for (int bin = 0; bin < all.length; bin++) {
        all[bin] += slot[bin];
      }
    }
    return histogram(
        "Routes by weight, all slots." + RunPage.counted(layer),
        "routes#",
        layer.routes().weights(),
        all);
  }

  private static String histogram(String caption, String what, Bins bins, long[] counts) {
    double width = (bins.to() - bins.from()) / bins.count();
    return Html.table(
        caption,
        List.of("from#", "to#", what),
        IntStream.range(0, counts.length)
            .filter(bin -> counts[bin] > 0)
            .mapToObj(
                bin ->
                    List.of(
                        number(bins.from() + bin * width),
                        number(bins.from() + (bin + 1) * width),
                        Amounts.count(counts[bin])))
            .toList());
  }

  static String stages(LayerReport layer) {
    List<List<String>> rows = new ArrayList<>();
    double left = layer.seconds();
    for (JsonNode stage : layer.manifest().path("stages")) {
      double seconds = stage.path("seconds").asDouble();
      left -= seconds;
      rows.add(
          List.of(
              stage.path("stage").asText(),
              Amounts.seconds(seconds),
              Amounts.rate(layer.tokens() / Math.max(seconds, 1e-3)),
              Amounts.count(stage.path("tasks").asLong()),
              amount(stage.path("tokens"), n -> Amounts.count(n.asLong())),
              amount(stage.path("blocks"), n -> Amounts.count(n.asLong())),
              amount(stage.path("kernel_ms"), ms -> Amounts.seconds(ms.asDouble() / 1e3)),
              amount(stage.path("gflops"), n -> number(n.asDouble())),
              amount(stage.path("padding"), part -> percent(part.asDouble()))));
    }
    rows.add(
        List.of(
            "other", Amounts.seconds(Math.max(0, left)), NONE, NONE, NONE, NONE, NONE, NONE, NONE));
    return Html.table(
        "Stages of " + Amounts.seconds(layer.seconds()),
        List.of(
            "stage",
            "time#",
            "tokens/s#",
            "tasks#",
            "tokens seen#",
            "blocks#",
            "in kernels#",
            "GFLOP/s#",
            "padding#"),
        rows);
  }

  /** A figure that not every stage has, and not every version of the manifest. */
  private static String amount(JsonNode figure, Function<JsonNode, String> text) {
    return figure.isMissingNode() ? NONE : text.apply(figure);
  }

  static String bytes(LayerReport layer) {
    List<List<String>> rows = new ArrayList<>();
    for (JsonNode stage : layer.manifest().path("stages")) {
      rows.add(
          List.of(
              stage.path("stage").asText(), Amounts.bytes(stage.path("shuffle_bytes").asLong())));
    }
    return Html.table("Bytes shuffled", List.of("stage", "bytes#"), rows);
  }

  static String percent(double share) {
    return String.format(Locale.ROOT, "%.2f %%", 100 * share);
  }

  /** Three or more digits. */
  static String number(double value) {
    double size = Math.abs(value);
    if (size >= 1000) {
      return Amounts.rate(value);
    }
    if (value != 0 && size < 0.001) {
      return String.format(Locale.ROOT, "%.2e", value);
    }
    return String.format(
        Locale.ROOT,
        size >= 100 ? "%.0f" : size >= 10 ? "%.1f" : size >= 1 ? "%.2f" : "%.3f",
        value);
  }
}
