package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.util.List;
import java.util.concurrent.ExecutionException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.BackendUnavailableException;

final class FailureTest {
  private static final String IN_TASK =
      """
      Job aborted due to stage failure: Task 0 in stage 3.0 failed 4 times, most recent failure: \
      Lost task 0.3 in stage 3.0 (TID 7) (10.0.0.1 executor 1): %s: %s
      \tat org.sparkmoe.somewhere(Somewhere.java:1)
      Driver stacktrace:\
      """;

  private static SparkException inTask(Throwable thrown) {
    return new SparkException(
        IN_TASK.formatted(thrown.getClass().getName(), thrown.getMessage()), null);
  }

  @Test
  void wrongInputOnTheDriver() {
    Failure failure = Failure.of(new InputException("layer 9 does not exist"));

    assertThat(failure).isEqualTo(new Failure("layer 9 does not exist", ExitCode.WRONG_INPUT));
  }

  @Test
  void wrongInputBehindOthers() {
    Failure failure =
        Failure.of(
            new IllegalStateException(
                "outer", new ExecutionException("inner", new InputException("file is short"))));

    assertThat(failure).isEqualTo(new Failure("file is short", ExitCode.WRONG_INPUT));
  }

  @Test
  void wrongInputInsideATask() {
    Failure failure = Failure.of(inTask(new InputException("shard x is gone; fetch it again")));

    assertThat(failure)
        .isEqualTo(new Failure("shard x is gone; fetch it again", ExitCode.WRONG_INPUT));
  }

  @Test
  void aFileSystemThatIsMissing() {
    Configuration hadoop = new Configuration();
    hadoop.set("fs.bar.impl", "org.example.BarFileSystem");
    for (String path : List.of("foo://bucket/x", "bar://bucket/x")) {
      Throwable thrown = catchThrowable(() -> new Path(path).getFileSystem(hadoop));

      Failure failure = Failure.of(new IllegalStateException("outer", thrown));

      assertThat(failure.code()).isEqualTo(ExitCode.WRONG_INPUT);
      assertThat(failure.message())
          .contains(path.startsWith("foo") ? "\"foo\"" : "org.example.BarFileSystem", "--packages")
          .hasLineCount(1);
    }
  }

  @Test
  void noBackendOnTheDriver() {
    BackendUnavailableException thrown =
        new BackendUnavailableException(Backend.CUDA, "no NVIDIA driver; use auto");

    assertThat(Failure.of(new RuntimeException("outer", thrown)))
        .isEqualTo(new Failure(thrown.getMessage(), ExitCode.WRONG_INPUT));
  }

  @Test
  void noBackendInsideATask() {
    BackendUnavailableException thrown =
        new BackendUnavailableException(Backend.VECTOR, "no vector module; use scalar");

    assertThat(Failure.of(inTask(thrown)))
        .isEqualTo(new Failure(thrown.getMessage(), ExitCode.WRONG_INPUT));
    assertThat(Failure.of(new RuntimeException("outer", inTask(thrown))))
        .isEqualTo(new Failure(thrown.getMessage(), ExitCode.WRONG_INPUT));
  }

  @Test
  void noBackendInsideATaskBehindItsOwnCause() {
    BackendUnavailableException thrown =
        new BackendUnavailableException(Backend.VECTOR, "no vector module; use scalar");
    SparkException outer =
        new SparkException(
            IN_TASK.formatted(thrown.getClass().getName(), thrown.getMessage()),
            new RuntimeException("something Spark added"));

    assertThat(Failure.of(outer)).isEqualTo(new Failure(thrown.getMessage(), ExitCode.WRONG_INPUT));
  }

  @Test
  void anythingElseFailedWhileRunning() {
    Failure failure = Failure.of(new RuntimeException("outer", new IllegalStateException("a\nb")));

    assertThat(failure).isEqualTo(new Failure("IllegalStateException: a", ExitCode.FAILED));
  }

  @Test
  void anythingElseInATaskIsOneLine() {
    Failure failure = Failure.of(inTask(new IllegalStateException("slot 3 arrived twice")));

    assertThat(failure.code()).isEqualTo(ExitCode.FAILED);
    assertThat(failure.message()).contains("slot 3 arrived twice").doesNotContain("\n");
  }

  /** As Spark words them: the cause of a task's failure is text in the middle of other text. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "org.apache.spark.SparkException: [TASK_WRITE_FAILED] x | java.io.IOException: No space"
            + " left on device | there is no space left (No space left on device); free some",
        "org.apache.spark.SparkException: [TASK_WRITE_FAILED] x |"
            + " org.apache.hadoop.security.AccessControlException: Permission denied: user=a |"
            + " access was refused (AccessControlException: Permission denied: user=a); check the"
            + " rights",
        "org.apache.spark.SparkException: [FAILED_READ_FILE.FILE_NOT_EXIST] file:/a.parquet"
            + " | java.io.FileNotFoundException: File file:/a.parquet does not exist"
            + " | a file vanished while the job ran (file:/a.parquet)",
      })
  void storageThatFailsInsideATask(String task, String cause, String message) {
    SparkException thrown =
        new SparkException(
            "Job aborted due to stage failure: Lost task 0.3: %s\n\tat x.y(Z.java:1)\nCaused by: %s\n\tat x.y(Z.java:2)\n"
                .formatted(task, cause),
            null);

    Failure failure = Failure.of(new RuntimeException("outer", thrown));

    assertThat(failure.code()).isEqualTo(ExitCode.FAILED);
    assertThat(failure.message()).startsWith(message).doesNotContain("\n");
  }

  @Test
  void exceptionsWithoutAMessageHaveAName() {
    assertThat(Failure.of(new NullPointerException()).message()).isEqualTo("NullPointerException");
    assertThat(Failure.of(new RuntimeException("\n\n")).message()).isEqualTo("RuntimeException");
  }
}
