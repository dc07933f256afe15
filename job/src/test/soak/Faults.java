import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;

/** What is done to runs. */
final class Faults {
  private static final int MOST_FILES = 4;

  /** Kinds of it. */
  enum Kind {
    DRIVER_KILL,
    DRIVER_END,
    CANCEL,
    EXECUTOR_KILL,
    EXECUTOR_STOP,
    SHUFFLE_LOSS;

    String label() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** Whether it happens to a driver in a process of its own. */
    boolean ofProcesses() {
      return this == DRIVER_KILL || this == DRIVER_END;
    }
  }

  /**
   * When it is done, and up to a second later.
   *
   * @param file of the run's state, which is there by then; empty for soon after the start
   */
  record Point(Optional<String> file) {
    static final List<Point> ALL =
        List.of(
            new Point(Optional.empty()),
            new Point(Optional.of("state.json")),
            new Point(Optional.of("unit-00000.json")),
            new Point(Optional.of("unit-00001.json")),
            new Point(Optional.of("unit-00002.json")),
            new Point(Optional.of("unit-00003.json")));
  }

  private final SparkSession spark;
  private final Path folder;
  private final SplittableRandom random;

  Faults(SparkSession spark, Path folder, SplittableRandom random) {
    this.spark = spark;
    this.folder = folder;
    this.random = random;
  }

  /** Ends {@code driver}, which runs the job, at {@code point}; how often. */
  int end(Process driver, Kind kind, Path output, Point point) throws Exception {
    if (!await(driver::isAlive, output, point)) {
      return 0;
    }
    // of `exec`: the process is the driver itself
    boolean ended =
        kind == Kind.DRIVER_KILL
            ? driver.toHandle().destroyForcibly()
            : driver.toHandle().destroy();
    return ended ? 1 : 0;
  }

  /** Disturbs the job that {@code running} runs in this process; how often. */
  int disturb(Future<?> running, Kind kind, Path output, Point point) throws Exception {
    if (!await(() -> !running.isDone(), output, point)) {
      return 0;
    }
    List<ProcessHandle> executors = executors().toList();
    Optional<ProcessHandle> victim =
        executors.isEmpty()
            ? Optional.empty()
            : Optional.of(executors.get(random.nextInt(executors.size())));
    switch (kind) {
      case CANCEL -> {
        spark.sparkContext().cancelAllJobs();
        return 1;
      }
      case EXECUTOR_KILL -> {
        return victim.map(ProcessHandle::destroyForcibly).orElse(false) ? 1 : 0;
      }
      case EXECUTOR_STOP -> {
        if (victim.isEmpty()) {
          return 0;
        }
        signal("-STOP", victim.get());
        Thread.sleep(2_000 + random.nextInt(6_000));
        signal("-CONT", victim.get());
        return 1;
      }
      case SHUFFLE_LOSS -> {
        return loseFiles(running);
      }
      default -> throw new IllegalArgumentException(kind.label());
    }
  }

  /** Processes of this application's executors. */
  Stream<ProcessHandle> executors() {
    return ProcessHandle.current()
        .descendants()
        .filter(
            process ->
                process.info().commandLine().orElse("").contains("CoarseGrainedExecutorBackend"));
  }

  /** Resident memory of a process; 0 where it has ended. */
  static long residentMiB(ProcessHandle process) {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/" + process.pid() + "/status"))) {
        if (line.startsWith("VmRSS:")) {
          return Long.parseLong(line.replaceAll("\\D", "")) >> 10;
        }
      }
    } catch (IOException | UncheckedIOException e) {
      // It ended in between.
    }
    return 0;
  }

  /** A question that has no exceptions to throw. */
  private interface Alive {
    boolean ask();
  }

  /** Waits for the run to come to {@code point}; false where it ends before. */
  private boolean await(Alive alive, Path output, Point point) throws Exception {
    if (point.file().isEmpty()) {
      Thread.sleep(random.nextInt(1_000));
    }
    while (point.file().isPresent() && alive.ask() && !staged(output, point.file().get())) {
      Thread.sleep(20);
    }
    Thread.sleep(random.nextInt(1_000));
    return alive.ask();
  }

  private boolean staged(Path output, String file) throws IOException {
    String staging = "." + output.getFileName() + ".staging-*";
    try (DirectoryStream<Path> found = Files.newDirectoryStream(folder, staging)) {
      for (Path run : found) {
        if (Files.exists(run.resolve(".resume").resolve(file))) {
          return true;
        }
      }
    }
    return false;
  }

  /** Deletes shuffle files as they are written, or cuts them short. */
  private int loseFiles(Future<?> running) throws Exception {
    long since = System.currentTimeMillis();
    int lost = 0;
    while (lost < MOST_FILES && !running.isDone()) {
      try (Stream<Path> found = Files.walk(folder.resolve("local"))) {
        for (Path file :
            found
                .filter(path -> path.getFileName().toString().matches("shuffle_.*\\.data"))
                .filter(path -> path.toFile().lastModified() >= since)
                .limit(1)
                .toList()) {
          lost += lost % 2 == 0 ? delete(file) : cut(file);
        }
      } catch (UncheckedIOException | NoSuchFileException e) {
        // A file went away under the walk.
      }
      Thread.sleep(50);
    }
    return lost;
  }

  private static int delete(Path file) throws IOException {
    return Files.deleteIfExists(file) ? 1 : 0;
  }

  private static int cut(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.truncate(channel.size() / 2);
      return 1;
    }
  }

  private static void signal(String signal, ProcessHandle process) throws Exception {
    new ProcessBuilder("kill", signal, Long.toString(process.pid())).start().waitFor();
  }
}
