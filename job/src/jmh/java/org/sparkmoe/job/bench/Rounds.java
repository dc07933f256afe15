package org.sparkmoe.job.bench;

import java.util.ArrayList;
import java.util.List;

/**
 * Measures several things in turn, round after round, because machines are noisy: a slow moment
 * then meets all of them.
 */
final class Rounds {
  private static final double LEAST_SAMPLE_SECONDS = 0.03;
  private static final int LEAST_ROUNDS = 3;
  private static final int MOST_ROUNDS = 100;
  private static final int STEADY_CALLS = 4;
  private static final int MOST_WARM_CALLS = 50;
  private static final double MOST_WARM_SECONDS = 10;

  private Rounds() {}

  /**
   * Times each of {@code runs}.
   *
   * @param seconds to spend on each, warm-up not counted; at least three rounds are made
   * @return in the order of {@code runs}
   */
  static List<Timing> of(List<Runnable> runs, double seconds) {
    int[] repeats = new int[runs.size()];
    for (int i = 0; i < repeats.length; i++) {
      repeats[i] = (int) Math.ceil(LEAST_SAMPLE_SECONDS / warm(runs.get(i), seconds / 2));
    }
    List<double[]> rounds = new ArrayList<>();
    long started = System.nanoTime();
    while (rounds.size() < LEAST_ROUNDS
        || (rounds.size() < MOST_ROUNDS && since(started) < seconds * runs.size())) {
      double[] round = new double[repeats.length];
      for (int i = 0; i < round.length; i++) {
        round[i] = sample(runs.get(i), repeats[i]);
      }
      rounds.add(round);
    }
    List<Timing> timings = new ArrayList<>();
    for (int i = 0; i < repeats.length; i++) {
      int column = i;
      timings.add(new Timing(rounds.stream().mapToDouble(round -> round[column]).toArray()));
    }
    return timings;
  }

  /**
   * Runs until the JVM has compiled what runs: so long, and until several calls in a row were
   * hardly faster than the best one before, or so much was computed that all of it is compiled;
   * seconds of the last call.
   */
  private static double warm(Runnable run, double seconds) {
    long started = System.nanoTime();
    double best = Double.POSITIVE_INFINITY;
    double last;
    int calls = 0;
    int steady = 0;
    do {
      last = sample(run, 1);
      steady = last < 0.97 * best ? 0 : steady + 1;
      best = Math.min(best, last);
      calls++;
    } while (since(started) < seconds
        || (steady < STEADY_CALLS
            && calls < MOST_WARM_CALLS
            && since(started) < MOST_WARM_SECONDS));
    return last;
  }

  private static double sample(Runnable run, int repeats) {
    long started = System.nanoTime();
    for (int i = 0; i < repeats; i++) {
      run.run();
    }
    return since(started) / repeats;
  }

  private static double since(long started) {
    return (System.nanoTime() - started) / 1e9;
  }
}
