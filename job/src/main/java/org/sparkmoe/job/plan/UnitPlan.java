package org.sparkmoe.job.plan;

import java.util.OptionalLong;

/**
 * The units that a run computes and keeps one after the other: consecutive ranges of the input's
 * partitions, as even as can be.
 *
 * @param units how many, at least 1
 * @param partitions of the input, at least as many as units
 */
public record UnitPlan(int units, int partitions) {
  /** Tokens of a unit, about, where nobody asks for another number. */
  public static final long DEFAULT_TOKENS = 256 << 10;

  /** Without a wish for smaller ones, no run has more units. */
  private static final int MOST = 64;

  /** The units of a run that is planned. */
  public static UnitPlan of(JobPlan plan) {
    return of(
        plan.work().tokens(),
        plan.work().partitions(),
        plan.cluster().slots(),
        plan.request().units().tokens());
  }

  /**
   * Units of so many tokens in so many partitions.
   *
   * @param slots tasks that run at a time: without a wish, every unit has a partition for each
   * @param wished tokens of a unit
   */
  static UnitPlan of(long tokens, int partitions, int slots, OptionalLong wished) {
    long units = Math.max(1, Math.ceilDiv(tokens, wished.orElse(DEFAULT_TOKENS)));
    long most = wished.isPresent() ? partitions : Math.min(MOST, partitions / slots);
    return new UnitPlan(Math.clamp(units, 1, (int) Math.max(1, most)), partitions);
  }

  /** Tokens of a unit, about. */
  public long tokens(long all) {
    return Math.ceilDiv(all, units);
  }

  /** The first partition of {@code unit}, counted from 0. */
  public int first(int unit) {
    return (int) ((long) unit * partitions / units);
  }

  /** The partition after the last of {@code unit}. */
  public int end(int unit) {
    return first(unit + 1);
  }
}
