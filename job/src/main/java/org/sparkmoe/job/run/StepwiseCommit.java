package org.sparkmoe.job.run;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.time.Instant;
import java.util.Set;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.job.resume.StateFolder;
import org.sparkmoe.job.resume.UnfinishedRun;

/**
 * Puts a staged run in its place where a folder cannot be renamed in one step: an object store
 * copies each object and deletes the old one. The manifest is moved last, in one step: without it
 * there is no run, whatever else is there. Interrupted anywhere, it is completed by {@link
 * #finish}.
 */
final class StepwiseCommit {
  /** Whose rename of a folder is one step. With any other, going step by step is safe too. */
  private static final Set<String> IN_ONE_STEP = Set.of("file", "hdfs", "webhdfs", "swebhdfs");

  /** What was there before is removed. */
  private static final String CLEARED = "cleared.json";

  private final FileSystem files;
  private final Path staging;
  private final Path target;
  private final StateFolder state;

  StepwiseCommit(FileSystem files, Path staging, Path target) {
    this.files = files;
    this.staging = staging;
    this.target = target;
    this.state = StateFolder.of(files, staging);
  }

  /** When it began, for people. */
  private record Begun(String at) {
    static Begun now() {
      return new Begun(Instant.now().toString());
    }
  }

  /** Whether {@code files} needs it. */
  static boolean isNeeded(FileSystem files) {
    return !IN_ONE_STEP.contains(files.getUri().getScheme());
  }

  /**
   * Begins with a run that is complete in its staging folder, manifest included; an earlier run at
   * the target may be replaced.
   */
  void begin() throws IOException {
    state.write(UnfinishedRun.COMMIT, Begun.now());
    finish();
  }

  /**
   * Does what is left, and removes the staging folder.
   *
   * @throws InputException where another run has appeared at the target
   */
  void finish() throws IOException {
    Path manifest = new Path(target, RunDirectory.MANIFEST);
    if (!state.has(CLEARED)) {
      // Readers are to see at once that the earlier run is none any more.
      files.delete(manifest, false);
      files.delete(target, true);
      state.write(CLEARED, Begun.now());
    } else if (files.exists(manifest)) {
      throw new InputException(
          "output %s appeared while the job ran; remove it, or %s".formatted(target, staging));
    }
    files.mkdirs(target);
    for (FileStatus table : files.listStatus(staging)) {
      String name = table.getPath().getName();
      if (!name.startsWith(".") && !name.equals(RunDirectory.MANIFEST)) {
        move(table, new Path(target, name));
      }
    }
    rename(new Path(staging, RunDirectory.MANIFEST), manifest);
    files.delete(staging, true);
  }

  /** Moves a file or a folder, a part of which may have been moved before. */
  private void move(FileStatus from, Path to) throws IOException {
    FileStatus there;
    try {
      there = files.getFileStatus(to);
    } catch (FileNotFoundException e) {
      rename(from.getPath(), to);
      return;
    }
    if (from.isDirectory() && there.isDirectory()) {
      for (FileStatus file : files.listStatus(from.getPath())) {
        move(file, new Path(to, file.getPath().getName()));
      }
      files.delete(from.getPath(), true);
    } else {
      files.delete(to, true);
      rename(from.getPath(), to);
    }
  }

  private void rename(Path from, Path to) throws IOException {
    if (!files.rename(from, to)) {
      throw new IOException("cannot rename " + from + " to " + to);
    }
  }
}
