package org.sparkmoe.job.run;

/** A run failed, and what it has finished is kept. */
public final class UnfinishedRunException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final String folder;
  private final int finished;
  private final int units;

  UnfinishedRunException(Exception cause, String folder, int finished, int units) {
    super(cause.getMessage(), cause);
    this.folder = folder;
    this.finished = finished;
    this.units = units;
  }

  /** How to go on, in one line. */
  public String remedy() {
    return "routes and %d of %d unit%s are kept in %s; the same command with --resume goes on from there"
        .formatted(finished, units, units == 1 ? "" : "s", folder);
  }
}
