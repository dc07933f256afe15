package org.sparkmoe.job.plan;

import java.util.List;
import java.util.OptionalInt;

/**
 * The chosen dispatch, with the sums behind it.
 *
 * @param chosen what will run
 * @param candidates every mode that was weighed, the chosen one among them
 * @param reason one sentence
 */
public record DispatchPlan(Cost chosen, List<Cost> candidates, String reason) {

  /** Lanes where expert parallel, empty where replicated. */
  public OptionalInt lanes() {
    return chosen.mode() == DispatchMode.EP ? OptionalInt.of(chosen.lanes()) : OptionalInt.empty();
  }
}
