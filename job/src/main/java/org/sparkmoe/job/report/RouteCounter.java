package org.sparkmoe.job.report;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * Counts the routes of a partition. Takes {@code token_id, topk_slot, expert_id, topk_weight}, the
 * rows of a token one after another; gives {@code kind, at, n}, one row for each count that is not
 * zero.
 *
 * @param experts E
 * @param topK k
 * @param weights bins of weights
 * @param entropies bins of entropies
 */
record RouteCounter(int experts, int topK, Bins weights, Bins entropies)
    implements MapPartitionsFunction<Row, Row> {
  /** Tokens; {@code at} is 0. */
  static final int TOKENS = 0;

  /** Tokens that chose a pair of experts; {@code at} is {@link Coactivation#index}. */
  static final int PAIR = 1;

  /** Routes by weight; {@code at} is slot × bins + bin. */
  static final int WEIGHT = 2;

  /** Tokens by the entropy of their weights; {@code at} is the bin. */
  static final int ENTROPY = 3;

  static final StructType SCHEMA =
      new StructType()
          .add("kind", DataTypes.IntegerType, false)
          .add("at", DataTypes.IntegerType, false)
          .add("n", DataTypes.LongType, false);

  @Override
  public Iterator<Row> call(Iterator<Row> routes) {
    Tally tally = new Tally();
    long token = 0;
    int slots = 0;
    int[] ids = new int[topK];
    double[] chosen = new double[topK];
    while (routes.hasNext()) {
      Row route = routes.next();
      if (slots > 0 && route.getLong(0) != token) {
        tally.token(ids, chosen, slots);
        slots = 0;
      }
      token = route.getLong(0);
      if (slots == topK) {
        throw new IllegalStateException("token %d has more than %d routes".formatted(token, topK));
      }
      ids[slots] = route.getInt(2);
      chosen[slots] = route.getFloat(3);
      tally.weight(route.getInt(1), chosen[slots]);
      slots++;
    }
    if (slots > 0) {
      tally.token(ids, chosen, slots);
    }
    return tally.rows().iterator();
  }

  /** The counts of one partition. */
  private final class Tally {
    private final long[] pairs = Coactivation.of(experts).counts();
    private final long[] byWeight = new long[topK * weights.count()];
    private final long[] byEntropy = new long[entropies.count()];
    private final long[] tokens = new long[1];

    void weight(int slot, double weight) {
      if (Double.isFinite(weight)) {
        byWeight[slot * weights.count() + weights.of(weight)]++;
      }
    }

    void token(int[] ids, double[] chosen, int slots) {
      tokens[0]++;
      double sum = 0;
      boolean shares = true;
      for (int i = 0; i < slots; i++) {
        sum += chosen[i];
        shares &= chosen[i] >= 0;
        for (int j = 0; j < i; j++) {
          pairs[Coactivation.index(experts, Math.min(ids[i], ids[j]), Math.max(ids[i], ids[j]))]++;
        }
      }
      if (shares && sum > 0 && Double.isFinite(sum)) {
        double[] part = Arrays.copyOf(chosen, slots);
        for (int i = 0; i < slots; i++) {
          part[i] /= sum;
        }
        byEntropy[entropies.of(Distributions.entropy(part))]++;
      }
    }

    List<Row> rows() {
      List<Row> rows = new ArrayList<>();
      add(TOKENS, tokens, rows);
      add(PAIR, pairs, rows);
      add(WEIGHT, byWeight, rows);
      add(ENTROPY, byEntropy, rows);
      return rows;
    }

    private void add(int kind, long[] counts, List<Row> rows) {
      for (int at = 0; at < counts.length; at++) {
        if (counts[at] > 0) {
          rows.add(RowFactory.create(kind, at, counts[at]));
        }
      }
    }
  }
}
