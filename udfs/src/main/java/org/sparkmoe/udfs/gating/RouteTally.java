package org.sparkmoe.udfs.gating;

import java.util.Arrays;
import org.apache.spark.util.AccumulatorV2;

/**
 * What a pass of {@link RouteFunction} counts: rows, and the load of every expert. Exact where the
 * function runs in the last stage of an action: Spark then takes each partition once, retried or
 * not.
 *
 * <p>Weights are summed as integers, so the order of summing does not show.
 */
public final class RouteTally extends AccumulatorV2<RouteTally, Long> {
  private static final long serialVersionUID = 1;

  /** Weights are counted in this fraction. */
  private static final double WEIGHT_UNIT = 0x1p-32;

  private final long[] tokens;
  private final long[] weightUnits;
  private long rows;
  private long errors;

  /** Counts for a layer of {@code experts} experts, all zero. */
  public RouteTally(int experts) {
    this.tokens = new long[experts];
    this.weightUnits = new long[experts];
  }

  /**
   * What an earlier pass counted.
   *
   * @param tokens by expert
   * @param weightUnits by expert, see {@link #weightUnits()}
   */
  public static RouteTally of(long rows, long errors, long[] tokens, long[] weightUnits) {
    RouteTally tally = new RouteTally(tokens.length);
    tally.rows = rows;
    tally.errors = errors;
    System.arraycopy(tokens, 0, tally.tokens, 0, tokens.length);
    System.arraycopy(weightUnits, 0, tally.weightUnits, 0, tokens.length);
    return tally;
  }

  /** A row that cannot be scored. */
  void refused() {
    rows++;
    errors++;
  }

  /** A row that is routed; {@link #chosen} is told of its slots. */
  void routed() {
    rows++;
  }

  /** A token's choice of an expert. */
  void chosen(int expert, float weight) {
    tokens[expert]++;
    weightUnits[expert] += Math.round(weight / WEIGHT_UNIT);
  }

  /** Rows of the input. */
  public long rows() {
    return rows;
  }

  /** Rows that cannot be scored. */
  public long errors() {
    return errors;
  }

  /** Experts counted for. */
  public int experts() {
    return tokens.length;
  }

  /** Choices of all experts together. */
  public long routes() {
    return Arrays.stream(tokens).sum();
  }

  /** Tokens that chose {@code expert}. */
  public long tokens(int expert) {
    return tokens[expert];
  }

  /** Tokens by expert. */
  public long[] loads() {
    return tokens.clone();
  }

  /** Sums of weights by expert, exactly, in the unit that they are counted in. */
  public long[] weightUnits() {
    return weightUnits.clone();
  }

  /** Sum of the weights of {@code expert}. */
  public double weightMass(int expert) {
    return weightUnits[expert] * WEIGHT_UNIT;
  }

  @Override
  public void add(RouteTally more) {
    rows += more.rows;
    errors += more.errors;
    for (int expert = 0; expert < tokens.length; expert++) {
      tokens[expert] += more.tokens[expert];
      weightUnits[expert] += more.weightUnits[expert];
    }
  }

  @Override
  public void merge(AccumulatorV2<RouteTally, Long> other) {
    add((RouteTally) other);
  }

  /** The rows, which is what Spark shows; the other counts have methods of their own. */
  @Override
  public Long value() {
    return rows;
  }

  @Override
  public boolean isZero() {
    return rows == 0;
  }

  @Override
  public RouteTally copy() {
    RouteTally copy = new RouteTally(tokens.length);
    copy.add(this);
    return copy;
  }

  @Override
  public void reset() {
    rows = 0;
    errors = 0;
    Arrays.fill(tokens, 0);
    Arrays.fill(weightUnits, 0);
  }
}
