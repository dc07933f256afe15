package org.sparkmoe.udfs.plan;

import java.util.Locale;
import java.util.Optional;
import org.sparkmoe.kernels.combine.WeightAndReduce;

/** Who weighs and sums a token's slots when lanes share them. */
public enum Reduction {
  /**
   * The combine step, slot by slot in f32: the same bits whatever lanes there are. Every slot's
   * vector travels.
   */
  SLOT_ORDER(WeightAndReduce.DELEGATE),
  /**
   * Each lane its own slots, in slot order, and the combine step the lanes' sums, in the order of
   * their lowest slots. One vector travels for each token and lane.
   */
  LANE_ORDER(WeightAndReduce.NO_OP);

  private final WeightAndReduce experts;

  Reduction(WeightAndReduce experts) {
    this.experts = experts;
  }

  /** What the experts of a lane leave to do. */
  public WeightAndReduce experts() {
    return experts;
  }

  /** Whether a lane sums its slots. */
  public boolean reducesInLanes() {
    return this == LANE_ORDER;
  }

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
