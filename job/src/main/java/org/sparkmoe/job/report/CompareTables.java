package org.sparkmoe.job.report;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.sparkmoe.job.plan.Amounts;
import org.sparkmoe.job.report.CompareFacts.Fact;
import org.sparkmoe.job.report.OutputPair.Kind;

/** The tables of a comparison. */
final class CompareTables {
  private static final String NONE = "–";

  private CompareTables() {}

  static String facts(Comparison runs) {
    List<Fact> facts = CompareFacts.of(runs);
    List<Fact> other = facts.stream().filter(Fact::differs).toList();
    List<Fact> equal = facts.stream().filter(fact -> !fact.differs()).toList();
    String differing =
        other.isEmpty()
            ? "<p>All facts and options of the two runs are equal.</p>"
            : Html.table(
                "What differs",
                List.of("fact", "A", "B"),
                other.stream()
                    .map(fact -> List.of(fact.name(), fact.first(), fact.second()))
                    .toList());
    return differing
        + "<details><summary>%d facts are equal</summary>%s</details>"
            .formatted(
                equal.size(),
                Html.facts(
                    equal.stream().map(fact -> List.of(fact.name(), fact.first())).toList()));
  }

  /** The {@code most} experts whose share of the routes changed most. */
  static String experts(Comparison runs, int most) {
    long[] first = runs.first().experts().tokens();
    long[] second = runs.second().experts().tokens();
    double[] firstShares = Distributions.shares(first);
    double[] secondShares = Distributions.shares(second);
    int experts = Math.min(first.length, second.length);
    Comparator<Integer> byChange =
        Comparator.comparingDouble(e -> -Math.abs(secondShares[e] - firstShares[e]));
    List<List<String>> rows =
        IntStream.range(0, experts)
            .boxed()
            .sorted(byChange)
            .limit(most)
            .map(
                e ->
                    List.of(
                        Integer.toString(e),
                        Amounts.count(first[e]),
                        Amounts.count(second[e]),
                        RunTables.percent(firstShares[e]),
                        RunTables.percent(secondShares[e]),
                        String.format(
                            Locale.ROOT, "%+.3f", 100 * (secondShares[e] - firstShares[e]))))
            .toList();
    return Html.table(
        "Experts by the change of their share, the largest first",
        List.of("expert#", "tokens A#", "tokens B#", "share A#", "share B#", "change, points#"),
        rows);
  }

  /** How even the loads of both runs are. */
  static String balance(Comparison runs) {
    return Html.table(
        runs.drift()
            .map(
                drift ->
                    "Total variation %s: the share of routes that would have to move. Jensen-Shannon divergence %s bits"
                        .formatted(
                            RunTables.number(drift.totalVariation()),
                            RunTables.number(drift.jensenShannon())))
            .orElse("How even the load is"),
        List.of(
            "run", "tokens#", "Gini#", "hottest over mean#", "entropy, bits#", "experts unused#"),
        List.of(balance("A", runs.first()), balance("B", runs.second())));
  }

  private static List<String> balance(String name, ComparedLayer layer) {
    long[] tokens = layer.experts().tokens();
    return List.of(
        name,
        Amounts.count(layer.tokens()),
        RunTables.number(Distributions.gini(tokens)),
        RunTables.number(Distributions.hottestOverMean(tokens)),
        RunTables.number(Distributions.entropy(Distributions.shares(tokens))),
        Long.toString(layer.unused()));
  }

  static String moved(Comparison runs) {
    if (runs.routes().isEmpty()) {
      return "<p>Not compared.</p>";
    }
    RouteChanges changes = runs.routes().get();
    List<List<String>> rows = new ArrayList<>();
    for (int moved = 0; moved < changes.byMoved().length; moved++) {
      rows.add(
          List.of(
              Integer.toString(moved),
              Amounts.count(changes.byMoved()[moved]),
              RunTables.percent((double) changes.byMoved()[moved] / changes.tokens())));
    }
    return Html.table(
        "Tokens by slots with another expert; %s more have the same experts in another order.%s"
            .formatted(
                Amounts.count(changes.reordered()),
                changes.sampled()
                    ? " Of a sample of %s tokens, chosen by their ids."
                        .formatted(Amounts.count(changes.tokens()))
                    : ""),
        List.of("slots moved#", "tokens#", "share#"),
        rows);
  }

  static String stages(Comparison runs) {
    List<List<String>> rows = new ArrayList<>();
    for (StagePair stage : StagePair.of(runs)) {
      rows.add(
          List.of(
              stage.name(),
              Amounts.seconds(stage.first()),
              Amounts.seconds(stage.second()),
              ratio(stage.second(), stage.first()),
              Amounts.bytes(stage.firstBytes()),
              Amounts.bytes(stage.secondBytes())));
    }
    rows.add(
        List.of(
            "the run",
            Amounts.seconds(runs.first().seconds()),
            Amounts.seconds(runs.second().seconds()),
            ratio(runs.second().seconds(), runs.first().seconds()),
            "",
            ""));
    return Html.table(
        "A: %s tokens/s, %s GFLOP/s in kernels. B: %s tokens/s, %s GFLOP/s"
            .formatted(
                Amounts.rate(runs.first().tokensPerSecond()),
                RunTables.number(runs.first().gigaflops()),
                Amounts.rate(runs.second().tokensPerSecond()),
                RunTables.number(runs.second().gigaflops())),
        List.of("stage", "time A#", "time B#", "B over A#", "shuffled A#", "shuffled B#"),
        rows);
  }

  private static String ratio(double of, double over) {
    return over > 0 ? RunTables.number(of / over) + " ×" : NONE;
  }

  static String histogram(Comparison runs) {
    if (runs.outputs().isEmpty()) {
      return "<p>Not compared.</p>";
    }
    long[] tokens = runs.outputs().get().histogram();
    List<List<String>> rows = new ArrayList<>();
    for (int bin = 0; bin < tokens.length; bin++) {
      if (tokens[bin] > 0) {
        rows.add(List.of(CompareData.label(bin), Amounts.count(tokens[bin])));
      }
    }
    return Html.table("Tokens by relative L2 distance", List.of("distance#", "tokens#"), rows);
  }

  static String tokens(Comparison runs) {
    if (runs.outputs().isEmpty()) {
      return "<p>Not compared.</p>";
    }
    OutputDifferences outputs = runs.outputs().get();
    List<List<String>> rows = new ArrayList<>();
    for (Kind kind : Kind.values()) {
      rows.add(List.of(kind.words(), Amounts.count(outputs.count(kind))));
    }
    return Html.table("Tokens that …", List.of("", "tokens#"), rows) + distances(outputs);
  }

  private static String distances(OutputDifferences outputs) {
    if (outputs.compared() == 0) {
      return "";
    }
    List<List<String>> rows =
        List.of(
            List.of("equal in every value", Amounts.count(outputs.equal())),
            List.of("largest", distance(outputs.largest())),
            List.of("99 % are at most", distance(outputs.p99())),
            List.of("median", distance(outputs.median())),
            List.of("mean", distance(outputs.mean())),
            List.of(
                "not finite (NaN on one side, or zeros in A)", Amounts.count(outputs.infinite())));
    return Html.table("Relative L2 distance of the outputs", List.of("", "#"), rows);
  }

  static String worst(Comparison runs) {
    List<List<String>> rows =
        runs.outputs().map(OutputDifferences::worst).orElse(List.of()).stream()
            .map(
                token ->
                    List.of(
                        Long.toString(token.tokenId()),
                        distance(token.relative()),
                        distance(token.largest())))
            .toList();
    return rows.isEmpty()
        ? "<p>No token differs.</p>"
        : Html.table(
            "The %d tokens that differ most".formatted(rows.size()),
            List.of("token#", "relative L2#", "largest difference#"),
            rows);
  }

  static String distance(double value) {
    return value == 0
        ? "0"
        : Double.isInfinite(value) ? "∞" : String.format(Locale.ROOT, "%.2e", value);
  }
}
