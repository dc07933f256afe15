package org.sparkmoe.job.plan;

import org.sparkmoe.kernels.permute.ExpertPlacement;

/**
 * How evenly lanes are loaded: the busiest lane over the mean of all, by assignments.
 *
 * @param lanes lanes
 * @param linear with experts in equal, contiguous ranges
 * @param placed as they are placed
 * @param sharedExperts experts that several lanes hold
 * @param linearLoads assignments by lane, with experts in equal, contiguous ranges
 * @param placedLoads assignments by lane, as they are placed; lanes that share an expert count
 *     equal parts of it
 */
public record LaneBalance(
    int lanes,
    double linear,
    double placed,
    int sharedExperts,
    double[] linearLoads,
    double[] placedLoads) {

  /** The balance of {@code placement} under {@code loads}, assignments by expert. */
  public static LaneBalance of(ExpertPlacement placement, long[] loads) {
    int lanes = placement.lanes();
    ExpertPlacement linear = ExpertPlacement.linear(loads.length, lanes);
    return new LaneBalance(
        lanes,
        linear.imbalance(loads),
        placement.imbalance(loads),
        placement.sharedExperts(),
        linear.laneLoads(loads),
        placement.laneLoads(loads));
  }
}
