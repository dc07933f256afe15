package org.sparkmoe.job.run;

import java.util.List;

/** Compares what was read with what was written, so that no row is lost or doubled in silence. */
final class Reconciliation {
  private Reconciliation() {}

  /**
   * Every row read is an output or an error, and every token has k routes.
   *
   * @param read rows of the first pass
   * @param errors rows of the first pass that cannot be scored
   * @param units the parts of the {@code outputs} table
   * @param routes rows of the {@code routes} table
   * @param topK k
   * @throws IllegalStateException where the sums do not agree
   */
  static void check(long read, long errors, List<FinishedUnit> units, long routes, int topK) {
    long written = units.stream().mapToLong(FinishedUnit::rows).sum();
    long marked = units.stream().mapToLong(FinishedUnit::errors).sum();
    require("rows of outputs/", written, "rows were read", read);
    require("rows of outputs/ with an error", marked, "could not be scored", errors);
    require("rows of routes/", routes, "routes were chosen", (read - errors) * topK);
  }

  private static void require(String what, long written, String source, long expected) {
    if (written != expected) {
      throw new IllegalStateException(
          "%s: %d, but %d %s; the run is not committed. The input is read twice: does it change meanwhile?"
              .formatted(what, written, expected, source));
    }
  }
}
