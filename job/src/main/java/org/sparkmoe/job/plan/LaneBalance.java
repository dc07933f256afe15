package org.sparkmoe.job.plan;

import org.sparkmoe.kernels.permute.ExpertPlacement;

/**
 * How evenly lanes are loaded: the busiest lane over the mean of all, by assignments.
 *
 * @param lanes lanes
 * @param linear with experts in contiguous ranges
 * @param placed as they are placed
 * @param sharedExperts experts that several lanes hold
 */
public record LaneBalance(int lanes, double linear, double placed, int sharedExperts) {

  /** The balance of {@code placement} under {@code loads}, assignments by expert. */
  public static LaneBalance of(ExpertPlacement placement, long[] loads) {
    int lanes = placement.lanes();
    return new LaneBalance(
        lanes,
        ExpertPlacement.linear(loads.length, lanes).imbalance(loads),
        placement.imbalance(loads),
        placement.sharedExperts());
  }
}
