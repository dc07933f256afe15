package org.sparkmoe.job.it;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Runs the application jar as a user does: {@code spark-submit --master ... moe.jar ARGUMENTS}. */
public final class SparkSubmitRunner {
  private final String master;
  private final List<String> options = new ArrayList<>();
  private Duration timeout = Duration.ofMinutes(5);

  private SparkSubmitRunner(String master) {
    this.master = master;
  }

  public static SparkSubmitRunner on(String master) {
    return new SparkSubmitRunner(master);
  }

  public SparkSubmitRunner conf(String key, String value) {
    return option("--conf", key + "=" + value);
  }

  /** An option of spark-submit, with its values. */
  public SparkSubmitRunner option(String... words) {
    options.addAll(List.of(words));
    return this;
  }

  public SparkSubmitRunner timeout(Duration timeout) {
    this.timeout = timeout;
    return this;
  }

  /** Starts the job and waits for its end. */
  public Result run(String... arguments) throws IOException, InterruptedException {
    try (Running running = start(arguments)) {
      return running.await();
    }
  }

  /** Starts the job only, so that a test can disturb it. */
  public Running start(String... arguments) throws IOException {
    List<String> line = new ArrayList<>();
    line.addAll(List.of("-Xmx1g", "org.apache.spark.deploy.SparkSubmit", "--master", master));
    line.addAll(List.of("--conf", "spark.ui.enabled=false"));
    line.addAll(List.of("--conf", "spark.executor.memory=512m"));
    line.addAll(
        List.of("--conf", "spark.executor.extraJavaOptions=" + Installation.FEW_OPTIMIZATIONS));
    line.addAll(options);
    line.addAll(List.of("--class", "org.sparkmoe.job.Main", Installation.JAR.toString()));
    line.addAll(List.of(arguments));
    Path stdout = Files.createTempFile("moe", ".out");
    Path stderr = Files.createTempFile("moe", ".err");
    return new Running(Installation.java(stdout, stderr, line), stdout, stderr, timeout);
  }

  /** How a job ended. */
  public record Result(int exitCode, String stdout, String stderr) {}

  /** A job under way; closing kills it when it has not ended. */
  public record Running(Process process, Path stdout, Path stderr, Duration timeout)
      implements AutoCloseable {
    public Result await() throws IOException, InterruptedException {
      boolean ended = process.waitFor(timeout.toMillis(), TimeUnit.MILLISECONDS);
      if (!ended) {
        Installation.kill(process);
      }
      Result result = new Result(process.exitValue(), read(stdout), read(stderr));
      if (!ended) {
        throw new IllegalStateException("no end within " + timeout + "; it said:\n" + result);
      }
      return result;
    }

    @Override
    public void close() throws IOException {
      Installation.kill(process);
      Files.deleteIfExists(stdout);
      Files.deleteIfExists(stderr);
    }

    private static String read(Path file) throws IOException {
      return new String(Files.readAllBytes(file), StandardCharsets.UTF_8);
    }
  }
}
