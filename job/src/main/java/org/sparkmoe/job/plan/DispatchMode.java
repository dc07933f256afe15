package org.sparkmoe.job.plan;

import java.util.Locale;

/** How tokens and experts meet. */
public enum DispatchMode {
  /** Expert parallelism: tokens travel to the lanes of their experts and back, two shuffles. */
  EP,
  /** Every executor holds all experts, no token travels. */
  REPLICATED;

  /** The name in options: lower case. */
  public String option() {
    return name().toLowerCase(Locale.ROOT);
  }
}
