package org.sparkmoe.job.resume;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Tells other drivers that this one is at work on a staging folder: a small file that is written
 * anew every few seconds, and removed when the driver ends in an orderly way.
 */
public final class Lease implements AutoCloseable {
  private static final String FILE = "heartbeat";
  private static final Duration BEAT = Duration.ofSeconds(10);

  /** A driver that was not heard of for so long is taken for dead. */
  private static final Duration STALE = Duration.ofMinutes(1);

  private static final ObjectMapper JSON = new ObjectMapper();

  private final FileSystem files;
  private final Path file;
  private final Holder holder;
  private final ScheduledExecutorService beats;
  private volatile boolean lost;

  /** Who holds it. */
  record Holder(String token, DriverProcess process) {}

  private Lease(FileSystem files, Path file) {
    this.files = files;
    this.file = file;
    this.holder = new Holder(UUID.randomUUID().toString(), DriverProcess.current());
    this.beats =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "moe-heartbeat");
              thread.setDaemon(true);
              return thread;
            });
  }

  /** Takes the folder, which nobody else holds, and keeps it until {@link #close}. */
  public static Lease take(FileSystem files, StateFolder state) throws IOException {
    Lease lease = new Lease(files, new Path(state.folder(), FILE));
    lease.write();
    // where the process is interrupted, which closes nothing
    files.deleteOnExit(lease.file);
    // a beat catches what it throws: nobody has to look at the future
    ScheduledFuture<?> _ =
        lease.beats.scheduleWithFixedDelay(
            lease::beat, BEAT.toMillis(), BEAT.toMillis(), TimeUnit.MILLISECONDS);
    return lease;
  }

  /**
   * Makes sure that no other driver has taken over.
   *
   * @throws IllegalStateException where one has
   */
  public void require() {
    beat();
    if (lost) {
      throw new IllegalStateException(
          "another driver has taken over %s; was this one stopped for more than a minute?"
              .formatted(file.getParent().getParent()));
    }
  }

  /**
   * How long the driver of {@code state} has to be left alone: until it has not been heard of for a
   * minute. Empty where it has ended, or nobody holds the folder.
   */
  static Optional<Duration> left(FileSystem files, StateFolder state) throws IOException {
    Path file = new Path(state.folder(), FILE);
    long beaten;
    try {
      beaten = files.getFileStatus(file).getModificationTime();
    } catch (FileNotFoundException e) {
      return Optional.empty();
    }
    if (holder(files, file).map(held -> held.process().hasEnded()).orElse(false)) {
      return Optional.empty();
    }
    Duration left = STALE.minusMillis(now(files, state) - beaten);
    return left.isPositive() ? Optional.of(left) : Optional.empty();
  }

  /** The clock that stamps files: it may not be ours. */
  private static long now(FileSystem files, StateFolder state) throws IOException {
    Path probe = new Path(state.folder(), "clock." + UUID.randomUUID());
    files.create(probe, false).close();
    try {
      return files.getFileStatus(probe).getModificationTime();
    } finally {
      files.delete(probe, false);
    }
  }

  private synchronized void beat() {
    try {
      Optional<Holder> other = holder(files, file).filter(held -> !held.equals(holder));
      if (other.isPresent() || !files.exists(file)) {
        lost = true;
      } else {
        write();
      }
    } catch (IOException | RuntimeException _) {
      // A file system that is away for a moment: the next beat, or the next write, tells.
    }
  }

  private void write() throws IOException {
    try (FSDataOutputStream out =
        files.createNonRecursive(
            file,
            true,
            1 << 12,
            files.getDefaultReplication(file),
            files.getDefaultBlockSize(file),
            null)) {
      out.write(JSON.writeValueAsBytes(holder));
    }
  }

  /** Empty where there is none, or it is being written. */
  private static Optional<Holder> holder(FileSystem files, Path file) throws IOException {
    try (FSDataInputStream in = files.open(file)) {
      return Optional.of(JSON.readValue(in.readAllBytes(), Holder.class));
    } catch (FileNotFoundException | JsonProcessingException e) {
      return Optional.empty();
    }
  }

  /** Lets go. */
  @Override
  public synchronized void close() {
    beats.shutdownNow();
    try {
      if (holder(files, file).filter(holder::equals).isPresent()) {
        files.delete(file, false);
      }
      files.cancelDeleteOnExit(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
