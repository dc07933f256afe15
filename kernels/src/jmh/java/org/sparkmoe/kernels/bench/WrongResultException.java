package org.sparkmoe.kernels.bench;

/** A contender computed something else: nothing may be said of its speed. */
public final class WrongResultException extends RuntimeException {
  private static final long serialVersionUID = 1;

  public WrongResultException(String message) {
    super(message);
  }
}
