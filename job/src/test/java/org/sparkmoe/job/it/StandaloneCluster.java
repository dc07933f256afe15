package org.sparkmoe.job.it;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A real standalone cluster on loopback: a master and its workers, each a process of its own.
 *
 * <p>Every process picks a free port. Logs and the executors' folders are below the folder given to
 * {@link #start}; they outlive the cluster.
 */
public final class StandaloneCluster implements AutoCloseable {
  private static final Pattern URL = Pattern.compile("Starting Spark master at (spark://\\S+)");
  private static final Pattern REGISTERED = Pattern.compile("Registering worker ");
  private static final Duration PATIENCE = Duration.ofMinutes(3);

  private final Path folder;
  private final List<Process> processes = new ArrayList<>();
  private String url;

  private StandaloneCluster(Path folder) {
    this.folder = folder;
  }

  /** Starts two workers of one core and 1 GiB each, and waits until the master knows both. */
  public static StandaloneCluster start(Path folder) {
    return start(folder, 2);
  }

  public static StandaloneCluster start(Path folder, int workers) {
    StandaloneCluster cluster = new StandaloneCluster(folder);
    try {
      cluster.startAll(workers);
      return cluster;
    } catch (IOException e) {
      cluster.close();
      throw new UncheckedIOException(e);
    } catch (RuntimeException e) {
      cluster.close();
      throw e;
    }
  }

  /** What {@code --master} takes. */
  public String url() {
    return url;
  }

  /** The executors that are running now, so that a test can kill one. */
  public List<ProcessHandle> executors() {
    return processes.stream()
        .flatMap(Process::descendants)
        .filter(StandaloneCluster::isExecutor)
        .toList();
  }

  @Override
  public void close() {
    for (Process process : processes.reversed()) {
      Installation.kill(process);
    }
  }

  private void startAll(int workers) throws IOException {
    Path log = folder.resolve("master.log");
    Files.createDirectories(folder);
    launch(log, "org.apache.spark.deploy.master.Master", "--port", "0");
    url = await(log, "a master", text -> first(URL.matcher(text)));
    for (int i = 0; i < workers; i++) {
      launch(
          folder.resolve("worker-" + i + ".log"),
          "org.apache.spark.deploy.worker.Worker",
          "--port",
          "0",
          "--cores",
          "1",
          "--memory",
          "1g",
          "--work-dir",
          folder.resolve("worker-" + i).toString(),
          url);
    }
    await(
        log,
        workers + " registered workers",
        text ->
            REGISTERED.matcher(text).results().count() >= workers
                ? Optional.of(text)
                : Optional.empty());
  }

  private void launch(Path log, String main, String... arguments) throws IOException {
    List<String> line = new ArrayList<>();
    line.addAll(List.of("-Xmx256m", main, "--host", "127.0.0.1", "--webui-port", "0"));
    line.addAll(List.of(arguments));
    Path stdout = log.resolveSibling(log.getFileName() + ".out");
    processes.add(Installation.java(stdout, log, line));
  }

  private String await(Path log, String what, Answer answer) throws IOException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (System.nanoTime() < deadline) {
      Optional<String> found = answer.in(Files.readString(log));
      if (found.isPresent()) {
        return found.get();
      }
      for (Process process : processes) {
        if (!process.isAlive()) {
          throw new IllegalStateException("a process of the cluster ended early: see " + folder);
        }
      }
      try {
        Thread.sleep(50);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException("interrupted while waiting for " + what, e);
      }
    }
    throw new IllegalStateException("no " + what + " within " + PATIENCE + ": see " + folder);
  }

  private static Optional<String> first(Matcher matcher) {
    return matcher.find() ? Optional.of(matcher.group(1)) : Optional.empty();
  }

  /** Whether a process is an executor of Spark. */
  static boolean isExecutor(ProcessHandle process) {
    return process.info().commandLine().orElse("").contains("CoarseGrainedExecutorBackend");
  }

  private interface Answer {
    Optional<String> in(String log);
  }
}
