package org.sparkmoe.udfs.plan;

import java.util.Locale;
import java.util.Optional;

/** In which order a token's slots are summed when lanes share them. */
public enum Reduction {
  /**
   * That of {@link org.sparkmoe.kernels.combine.ExpertTree}: the same bits whatever lanes there
   * are. A lane sums what are whole subtrees, and sends a vector for each.
   */
  EXPERT_ORDER,
  /**
   * Each lane sums its own slots in that order, and the combine step sums over the same tree, each
   * lane's sum in the place of its lowest expert. One vector travels for each token and lane.
   */
  LANE_ORDER;

  /** What bits of the outputs depend on, which they otherwise would not. */
  public Optional<String> bitsDependOn() {
    return this == LANE_ORDER
        ? Optional.of("the lanes that share a token's experts")
        : Optional.empty();
  }

  /** The name in options. */
  public String option() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
