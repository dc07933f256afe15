package org.sparkmoe.job.cli;

import java.util.Optional;
import org.apache.hadoop.fs.UnsupportedFileSystemException;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.tokens.InputFailures;
import org.sparkmoe.kernels.backend.BackendUnavailableException;

/**
 * What to say of an exception, in one line, and how to exit.
 *
 * @param message for the user
 * @param code exit code
 */
record Failure(String message, int code) {
  /** As a task's failure reads on the driver: Spark carries over text, not exceptions. */
  private static final String NO_BACKEND = BackendUnavailableException.class.getName() + ": ";

  private static final String MISSING_FILE_SYSTEM =
      "; add the package of that file system to the options of Spark, with --packages before the"
          + " command (for s3a see job/docs/storage.md)";

  static Failure of(Throwable thrown) {
    Optional<InputException> input = InputFailures.find(thrown);
    if (input.isPresent()) {
      return new Failure(input.get().getMessage(), ExitCode.WRONG_INPUT);
    }
    Throwable root = thrown;
    for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
      if (cause instanceof BackendUnavailableException) {
        return new Failure(cause.getMessage(), ExitCode.WRONG_INPUT);
      }
      String message = String.valueOf(cause.getMessage());
      int inTask = message.indexOf(NO_BACKEND);
      if (inTask >= 0) {
        return new Failure(
            firstLine(message.substring(inTask + NO_BACKEND.length())), ExitCode.WRONG_INPUT);
      }
      if (isMissingFileSystem(cause)) {
        return new Failure(firstLine(message) + MISSING_FILE_SYSTEM, ExitCode.WRONG_INPUT);
      }
      root = cause;
    }
    Optional<String> storage = StorageFailure.find(thrown);
    if (storage.isPresent()) {
      return new Failure(storage.get(), ExitCode.FAILED);
    }
    String name = root.getClass().getSimpleName();
    String message = root.getMessage() == null ? "" : firstLine(root.getMessage().strip());
    return new Failure(message.isEmpty() ? name : name + ": " + message, ExitCode.FAILED);
  }

  /** A scheme that Hadoop does not know, or knows without having its classes. */
  private static boolean isMissingFileSystem(Throwable cause) {
    String message = String.valueOf(cause.getMessage());
    return cause instanceof UnsupportedFileSystemException
        || (cause instanceof ClassNotFoundException
            && message.matches("Class \\S+FileSystem not found"));
  }

  private static String firstLine(String text) {
    return text.lines().findFirst().orElse("");
  }
}
