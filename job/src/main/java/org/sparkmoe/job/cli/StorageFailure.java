package org.sparkmoe.job.cli;

import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What storage did to a run, found in what Spark throws: exceptions of tasks reach the driver as
 * text, causes and stack traces included.
 */
enum StorageFailure {
  FULL(
      "(?:No space left on device|Disk quota exceeded|QuotaExceededException[^\\n]*)",
      "there is no space left (%s); free some where the run, spark.local.dir and"
          + " spark.moe.cache.dir are, and run again: nothing was committed"),
  DENIED(
      "(?:Permission denied|AccessControlException: |AccessDeniedException: )[^\\n]*",
      "access was refused (%s); check the rights of the folder for the user of the executors, and"
          + " run again: nothing was committed"),
  GONE(
      "(?:(?<=FILE_NOT_EXIST\\] )|FileNotFoundException: |NoSuchFileException: )[^\\n]*",
      "a file vanished while the job ran (%s); leave input and model in place and run again:"
          + " nothing was committed");

  private static final int MOST_SHOWN = 300;
  private static final List<StorageFailure> ALL = List.of(values());

  private final Pattern pattern;
  private final String message;

  StorageFailure(String pattern, String message) {
    this.pattern = Pattern.compile(pattern);
    this.message = message;
  }

  /** One line about it, where storage is what failed. */
  static Optional<String> find(Throwable thrown) {
    for (StorageFailure failure : ALL) {
      for (Throwable e = thrown; e != null; e = e.getCause()) {
        Matcher found =
            failure.pattern.matcher(e.getClass().getSimpleName() + ": " + e.getMessage());
        if (found.find()) {
          String detail = found.group().strip();
          return Optional.of(
              failure.message.formatted(
                  detail.length() > MOST_SHOWN ? detail.substring(0, MOST_SHOWN) + "…" : detail));
        }
      }
    }
    return Optional.empty();
  }
}
