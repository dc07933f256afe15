package org.sparkmoe.kernels.natives;

/** A native library cannot be had on this machine. The message is one line: what, why, remedy. */
public final class NativesException extends Exception {
  private static final long serialVersionUID = 1;

  NativesException(String message) {
    super(message);
  }

  NativesException(String message, Throwable cause) {
    super(message, cause);
  }
}
