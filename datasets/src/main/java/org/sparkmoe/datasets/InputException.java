package org.sparkmoe.datasets;

/**
 * Something the user gave us is unusable: a path, a file, a layer, a column, an option. The message
 * is one line that names the value, the limit it breaks and a remedy; the command line prints it as
 * it is and exits with 2.
 */
public class InputException extends RuntimeException {
  private static final long serialVersionUID = 1;

  public InputException(String message) {
    super(message);
  }

  public InputException(String message, Throwable cause) {
    super(message, cause);
  }
}
