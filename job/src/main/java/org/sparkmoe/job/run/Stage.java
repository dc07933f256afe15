package org.sparkmoe.job.run;

import java.util.Locale;

/** The steps that are timed. */
public enum Stage {
  /** Reading, checking and routing all tokens. */
  ROUTE,
  /** Writing routes and errors. */
  TABLES,
  /** Running dispatch and experts to measure intermediates that are quantized with one scale. */
  MEASURE,
  /** Routing again and packing blocks for lanes. */
  DISPATCH,
  /** Experts over blocks; the whole layer where replicated. */
  EXPERTS,
  /** Summing over slots and writing outputs. */
  COMBINE,
  /** Counting routes for the report, after the run's time is taken. */
  REPORT;

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
