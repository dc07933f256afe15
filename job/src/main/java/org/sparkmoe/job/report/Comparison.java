package org.sparkmoe.job.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Two runs of a layer side by side.
 *
 * @param first run A
 * @param second run B
 * @param drift how far the loads of experts are apart; empty where experts are other ones
 * @param routes tokens that chose other experts; empty where that cannot be told
 * @param outputs how far the vectors are apart; empty where a side has none
 * @param notes what could not be compared and why, and what else a reader must know
 */
record Comparison(
    ComparedLayer first,
    ComparedLayer second,
    Optional<Drift> drift,
    Optional<RouteChanges> routes,
    Optional<OutputDifferences> outputs,
    List<String> notes)
    implements Layer {

  /**
   * How far two distributions of routes over experts are apart.
   *
   * @param totalVariation {@link Distributions#totalVariation}
   * @param jensenShannon {@link Distributions#jensenShannon}, in bits
   */
  record Drift(double totalVariation, double jensenShannon) {
    private static Drift of(ExpertStats first, ExpertStats second) {
      double[] a = Distributions.shares(first.tokens());
      double[] b = Distributions.shares(second.tokens());
      return new Drift(Distributions.totalVariation(a, b), Distributions.jensenShannon(a, b));
    }
  }

  /** Compares; of the routes of more than {@code mostTokens} tokens a sample of about as many. */
  static Comparison of(RunFolder a, RunFolder b, long mostTokens) {
    ComparedLayer first = ComparedLayer.read(a);
    ComparedLayer second = ComparedLayer.read(b);
    List<String> notes = new ArrayList<>();
    if (first.index() != second.index()) {
      notes.add(
          "A is layer %d and B is layer %d: their experts and outputs are not the same thing."
              .formatted(first.index(), second.index()));
    }
    boolean sameExperts = first.experts().experts() == second.experts().experts();
    if (!sameExperts) {
      notes.add(
          "A has %d experts and B has %d: their ids have no common meaning, so routes are not compared."
              .formatted(first.experts().experts(), second.experts().experts()));
    }
    Optional<RouteChanges> routes =
        sameExperts && both(a, b, "routes", notes)
            ? Optional.of(RouteChanges.of(first, second, mostTokens))
            : Optional.empty();
    Optional<OutputDifferences> outputs =
        both(a, b, "outputs", notes) ? Optional.of(OutputDifferences.of(a, b)) : Optional.empty();
    outputs.ifPresent(found -> notes.addAll(found.notes(first.hidden(), second.hidden())));
    return new Comparison(
        first,
        second,
        sameExperts ? Optional.of(Drift.of(first.experts(), second.experts())) : Optional.empty(),
        // Without a token on both sides there is nothing to tell of changes.
        routes.filter(changes -> changes.tokens() > 0),
        outputs,
        List.copyOf(notes));
  }

  private static boolean both(RunFolder a, RunFolder b, String table, List<String> notes) {
    boolean inA = a.has(table);
    boolean inB = b.has(table);
    if (!inA || !inB) {
      notes.add(
          "%s/ is missing in %s, so it is not compared."
              .formatted(table, inA ? "B" : inB ? "A" : "A and B"));
    }
    return inA && inB;
  }

  @Override
  public int index() {
    return first.index();
  }

  /** How many times as many tokens a second B took as A. */
  double speedUp() {
    return second.tokensPerSecond() / Math.max(first.tokensPerSecond(), 1e-9);
  }
}
