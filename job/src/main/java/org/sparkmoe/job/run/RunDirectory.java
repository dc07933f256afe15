package org.sparkmoe.job.run;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;

/**
 * The folder of one run. Everything is written to a hidden staging folder beside it, which becomes
 * the run folder in one rename: a run that fails leaves nothing under its output path.
 */
public final class RunDirectory implements AutoCloseable {
  static final String MANIFEST = "manifest.json";

  private final FileSystem files;
  private final Path target;
  private final Path staging;
  private boolean committed;

  private RunDirectory(FileSystem files, Path target, Path staging) {
    this.files = files;
    this.target = target;
    this.staging = staging;
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
      if (!overwrite) {
        throw new InputException(
            "output %s exists; add --overwrite to replace it, or name another folder"
                .formatted(output));
      }
      if (!isRun) {
        throw new InputException(
            "output %s is no run folder (it has no %s): --overwrite replaces only runs; name another"
                .formatted(output, MANIFEST));
      }
    } catch (IOException | IllegalArgumentException e) {
      throw new InputException("output %s cannot be used: %s".formatted(output, e.getMessage()), e);
    }
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
      Path staging =
          new Path(target.getParent(), "." + target.getName() + ".staging-" + UUID.randomUUID());
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

  /** Where table {@code name} is written before the commit. */
  String table(String name) {
    return new Path(staging, name).toString();
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
    try {
      Path replaced = null;
      if (files.exists(target)) {
        if (!overwrite && files.listStatus(target).length > 0) {
          throw new InputException(
              "output %s appeared while the job ran; add --overwrite or name another folder"
                  .formatted(path()));
        }
        replaced =
            new Path(target.getParent(), "." + target.getName() + ".old-" + UUID.randomUUID());
        rename(target, replaced);
      }
      moveIn(replaced);
      committed = true;
      if (replaced != null) {
        files.delete(replaced, true);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
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
    return target.toUri().getScheme().equals("file") ? target.toUri().getPath() : target.toString();
  }

  /** Removes the staging folder of a run that was not committed. */
  @Override
  public void close() {
    if (!committed) {
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
