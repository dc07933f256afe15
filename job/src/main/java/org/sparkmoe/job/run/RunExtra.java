package org.sparkmoe.job.run;

/**
 * Adds files to a run folder before it appears under its name. What it throws fails the run, so an
 * extra that the run can do without keeps its failures to itself.
 */
@FunctionalInterface
public interface RunExtra {
  /**
   * Adds to {@code folder}, which holds all tables and the manifest.
   *
   * @param folder a Hadoop path, gone once the run is committed
   */
  void addTo(String folder);
}
