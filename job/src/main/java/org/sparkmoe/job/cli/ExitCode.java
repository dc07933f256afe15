package org.sparkmoe.job.cli;

/** Exit codes; schedulers read them. */
final class ExitCode {
  /** What help says of them. */
  static final String HELP =
      "Exit codes: 0 done, 1 failed while running, 2 wrong usage or input, 3 over --max-errors.";

  static final int DONE = 0;

  /** Failed while running. */
  static final int FAILED = 1;

  /** Wrong usage or unusable input; nothing was written. */
  static final int WRONG_INPUT = 2;

  /** Finished, but more rows failed than {@code --max-errors} allows. */
  static final int TOO_MANY_ERRORS = 3;

  /** Finished, but what was compared differs. */
  static final int DIFFERS = 3;

  private ExitCode() {}
}
