package org.sparkmoe.job.run;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.job.resume.Lease;
import org.sparkmoe.job.resume.StateFolder;
import org.sparkmoe.job.resume.UnfinishedRun;

/**
 * The folder of one run. Everything is written to a hidden staging folder beside it, which becomes
 * the run folder in one rename: a run that fails leaves nothing under its output path. Where a
 * rename is no single step, {@link StepwiseCommit} says what takes its place.
 */
public final class RunDirectory implements AutoCloseable {
  static final String MANIFEST = "manifest.json";

  private final FileSystem files;
  private final Path target;
  private final Path staging;
  private final StateFolder state;
  private final Lease lease;
  private volatile boolean kept;
  private boolean committed;

  private RunDirectory(FileSystem files, Path target, Path staging) throws IOException {
    this.files = files;
    this.target = target;
    this.staging = staging;
    this.state = StateFolder.of(files, staging);
    state.create();
    this.lease = Lease.take(files, state);
  }

  /**
   * Checks that {@code output} can become a run folder. Writes nothing.
   *
   * @throws InputException where it exists and is not to be overwritten, or is no run folder
   */
  public static void check(String output, Configuration hadoop, boolean overwrite) {
    try {
      Path target = new Path(output);
      FileSystem files = target.getFileSystem(hadoop);
      if (!files.exists(target)) {
        return;
      }
      if (!files.getFileStatus(target).isDirectory()) {
        throw new InputException("output %s is a file; name a folder".formatted(output));
      }
      if (files.listStatus(target).length == 0) {
        return;
      }
      boolean isRun = files.exists(new Path(target, MANIFEST));
      if (!isRun && isBeingMoved(files, target)) {
        throw new InputException(
            "output %s is a run that was interrupted while it was put there: --resume completes it"
                .formatted(output));
      }
      if (!isRun) {
        throw new InputException(
            "output %s exists and is no run (it has no %s)%s; name another folder"
                .formatted(output, MANIFEST, overwrite ? ": --overwrite replaces only runs" : ""));
      }
      if (!overwrite) {
        throw new InputException(
            "output %s exists; add --overwrite to replace it, or name another folder"
                .formatted(output));
      }
    } catch (IOException | IllegalArgumentException e) {
      throw new InputException("output %s cannot be used: %s".formatted(output, e.getMessage()), e);
    }
  }

  private static boolean isBeingMoved(FileSystem files, Path target) throws IOException {
    for (UnfinishedRun run : UnfinishedRun.beside(files, files.makeQualified(target))) {
      if (run.committing()) {
        return true;
      }
    }
    return false;
  }

  /** Opens a staging folder for {@code output}; {@link #check} has been called. */
  static RunDirectory open(String output, Configuration hadoop) {
    try {
      Path given = new Path(output);
      FileSystem files = given.getFileSystem(hadoop);
      Path target = files.makeQualified(given);
      if (target.getParent() == null) {
        throw new InputException("output %s has no parent folder; name a folder".formatted(output));
      }
      Path staging = UnfinishedRun.newStaging(target);
      if (!files.mkdirs(staging)) {
        throw new IOException("cannot create " + staging);
      }
      // Also where the process is interrupted, which closes nothing.
      files.deleteOnExit(staging);
      return new RunDirectory(files, target, staging);
    } catch (IOException e) {
      throw new InputException(
          "output %s cannot be written: %s".formatted(output, e.getMessage()), e);
    }
  }

  /** Where everything is before the commit. */
  String folder() {
    return staging.toString();
  }

  /**
   * Takes over the staging folder of an earlier driver, under a new name: of several that try, one
   * succeeds. Where a rename copies, it keeps its name, and the last that tries has it.
   *
   * @throws InputException where another was faster
   */
  static RunDirectory takeOver(Path earlier, String output, Configuration hadoop) {
    try {
      FileSystem files = earlier.getFileSystem(hadoop);
      Path target = files.makeQualified(new Path(output));
      Path staging = StepwiseCommit.isNeeded(files) ? earlier : UnfinishedRun.newStaging(target);
      boolean renamed;
      try {
        renamed = staging.equals(earlier) ? files.exists(earlier) : files.rename(earlier, staging);
      } catch (FileNotFoundException e) {
        renamed = false;
      }
      if (!renamed) {
        throw new InputException(
            "the unfinished run in %s went away: another --resume has taken it, or it was removed"
                .formatted(earlier));
      }
      RunDirectory directory = new RunDirectory(files, target, staging);
      directory.keep();
      return directory;
    } catch (IOException e) {
      throw new InputException(
          "the unfinished run in %s cannot be taken over: %s".formatted(earlier, e.getMessage()),
          e);
    }
  }

  /**
   * Puts a run in its place whose driver was interrupted when it did that.
   *
   * @throws InputException where that cannot be done
   */
  public static void complete(Path staged, String output, Configuration hadoop) {
    try (RunDirectory directory = takeOver(staged, output, hadoop)) {
      new StepwiseCommit(directory.files, directory.staging, directory.target).finish();
      directory.committed = true;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** What the next driver finds, if this one does not come to its end. */
  StateFolder state() {
    return state;
  }

  /** From now on the staging folder outlives a failure. */
  void keep() throws IOException {
    kept = true;
    files.cancelDeleteOnExit(staging);
  }

  /** It does no longer: nobody could make use of it. */
  void drop() {
    kept = false;
  }

  /** The staging folder, where it outlives a failure and was not committed. */
  Optional<String> unfinished() {
    return kept && !committed ? Optional.of(plain(staging)) : Optional.empty();
  }

  /**
   * Makes sure that no other driver has taken over.
   *
   * @throws IllegalStateException where one has
   */
  void requireOwned() {
    lease.require();
  }

  /** Where table {@code name} is written before the commit. */
  String table(String name) {
    return new Path(staging, name).toString();
  }

  /** As {@link #table}; what an interrupted driver left there is removed. */
  String fresh(String name) {
    try {
      files.delete(new Path(staging, name), true);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return table(name);
  }

  /** Files by name in folder {@code name}, hidden ones left out; none where it is not there. */
  SortedMap<String, Long> list(String name) {
    SortedMap<String, Long> found = new TreeMap<>();
    try {
      for (FileStatus file : files.listStatus(new Path(staging, name))) {
        if (file.isFile() && !file.getPath().getName().startsWith("_")) {
          found.put(file.getPath().getName(), file.getLen());
        }
      }
    } catch (FileNotFoundException e) {
      return found;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return found;
  }

  /** Moves a file, both names in the staging folder; a folder that is missing is made. */
  void move(String from, String to) {
    try {
      Path moved = new Path(staging, to);
      files.mkdirs(moved.getParent());
      rename(new Path(staging, from), moved);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Writes a small text file. */
  void write(String name, String text) {
    try (FSDataOutputStream out = files.create(new Path(staging, name), true)) {
      out.write(text.getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Makes the staging folder the run folder.
   *
   * @param overwrite whether an earlier run there is replaced
   * @throws InputException where another run has appeared there in the meantime
   */
  void commit(boolean overwrite) {
    requireOwned();
    try {
      if (!overwrite && files.exists(target) && files.listStatus(target).length > 0) {
        throw new InputException(
            "output %s appeared while the job ran; add --overwrite or name another folder"
                .formatted(path()));
      }
      if (StepwiseCommit.isNeeded(files)) {
        new StepwiseCommit(files, staging, target).begin();
        committed = true;
      } else {
        commitInOneStep();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void commitInOneStep() throws IOException {
    Path replaced = null;
    if (files.exists(target)) {
      replaced = new Path(target.getParent(), "." + target.getName() + ".old-" + UUID.randomUUID());
      rename(target, replaced);
    }
    moveIn(replaced);
    committed = true;
    StateFolder.of(files, target).delete();
    if (replaced != null) {
      files.delete(replaced, true);
    }
  }

  /** Puts the staging folder in place, or the earlier run back where that fails. */
  private void moveIn(Path replacedOrNull) throws IOException {
    try {
      rename(staging, target);
    } catch (IOException e) {
      if (replacedOrNull != null) {
        rename(replacedOrNull, target);
      }
      throw e;
    }
  }

  /** The run folder. */
  String path() {
    return plain(target);
  }

  private static String plain(Path path) {
    return path.toUri().getScheme().equals("file") ? path.toUri().getPath() : path.toString();
  }

  /** Removes the staging folder of a run that was not committed and is not kept. */
  @Override
  public void close() {
    lease.close();
    if (!committed && !kept) {
      try {
        files.delete(staging, true);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private void rename(Path from, Path to) throws IOException {
    if (!files.rename(from, to)) {
      throw new IOException("cannot rename " + from + " to " + to);
    }
  }
}
