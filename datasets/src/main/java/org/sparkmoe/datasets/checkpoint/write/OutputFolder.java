package org.sparkmoe.datasets.checkpoint.write;

import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;

/**
 * A folder that appears whole or not at all: files go to a hidden one beside it, each is synced to
 * disk, and one rename puts them in place.
 */
final class OutputFolder implements AutoCloseable {
  private static final String CONFIG = "config.json";
  private static final String INDEX = "model.safetensors.index.json";

  private final FileSystem files;
  private final Path target;
  private final Path staging;
  private boolean committed;

  private OutputFolder(FileSystem files, Path target, Path staging) {
    this.files = files;
    this.target = target;
    this.staging = staging;
  }

  /**
   * Checks that {@code output} can become a checkpoint. Writes nothing.
   *
   * @param source the checkpoint's folder, which the output must not hold
   * @param overwrite whether a checkpoint at {@code output} may be replaced
   * @throws InputException where {@code output} exists, holds the source, or cannot be used
   */
  static void check(String output, String source, Configuration conf, boolean overwrite) {
    try {
      Path given = new Path(output);
      FileSystem files = withoutSums(given.getFileSystem(conf));
      Path target = files.makeQualified(given);
      if (target.getParent() == null) {
        throw new InputException(
            "output %s has no parent folder; name a folder".formatted(Quoted.of(output)));
      }
      refuseSource(target, new Path(source));
      check(files, target, overwrite);
    } catch (IOException | IllegalArgumentException e) {
      throw unusable(output, e);
    }
  }

  /**
   * Makes the hidden folder.
   *
   * @param source the checkpoint's folder, which the output must not hold
   * @param overwrite whether a checkpoint at {@code output} may be replaced
   * @throws InputException where {@code output} cannot be written, exists, or holds the source
   */
  static OutputFolder open(String output, String source, Configuration conf, boolean overwrite) {
    check(output, source, conf, overwrite);
    try {
      Path given = new Path(output);
      FileSystem files = withoutSums(given.getFileSystem(conf));
      Path target = files.makeQualified(given);
      Path staging =
          new Path(target.getParent(), "." + target.getName() + ".staging-" + UUID.randomUUID());
      if (!files.mkdirs(staging)) {
        throw new IOException("cannot create " + staging);
      }
      // Also where the process is interrupted, which closes nothing.
      files.deleteOnExit(staging);
      return new OutputFolder(files, target, staging);
    } catch (IOException e) {
      throw unusable(output, e);
    }
  }

  private static InputException unusable(String output, Exception e) {
    return new InputException(
        "output %s cannot be written (%s); name another folder"
            .formatted(Quoted.of(output), Quoted.of(String.valueOf(e.getMessage()))),
        e);
  }

  /** Local files without Hadoop's own checksum files beside them; those cannot be synced. */
  private static FileSystem withoutSums(FileSystem files) {
    return files instanceof LocalFileSystem local ? local.getRaw() : files;
  }

  private static void refuseSource(Path target, Path source) throws IOException {
    Path output = withoutLinks(target);
    for (Path folder = withoutLinks(source); folder != null; folder = folder.getParent()) {
      if (folder.equals(output)) {
        throw new InputException(
            "output %s holds the model itself; name another folder"
                .formatted(Quoted.of(target.toString())));
      }
    }
  }

  private static Path withoutLinks(Path path) throws IOException {
    return "file".equals(path.toUri().getScheme())
        ? new Path("file", null, new File(path.toUri().getPath()).getCanonicalPath())
        : path;
  }

  private static void check(FileSystem files, Path target, boolean overwrite) throws IOException {
    if (!files.exists(target)) {
      return;
    }
    String name = Quoted.of(target.toString());
    if (!files.getFileStatus(target).isDirectory()) {
      throw new InputException("output %s is a file; name a folder".formatted(name));
    }
    if (files.listStatus(target).length == 0) {
      return;
    }
    if (!files.exists(new Path(target, CONFIG)) || !files.exists(new Path(target, INDEX))) {
      throw new InputException(
          "output %s exists and is no sharded checkpoint (it has no %s or no %s)%s; name another folder"
              .formatted(
                  name, CONFIG, INDEX, overwrite ? ": --overwrite replaces only those" : ""));
    }
    if (!overwrite) {
      throw new InputException(
          "output %s exists; add --overwrite to replace it, or name another folder"
              .formatted(name));
    }
  }

  /** What a file is written by. */
  interface Body {
    void write(OutputStream out) throws IOException;
  }

  /** Writes a file and waits until the disk has it. */
  void write(String name, Body body) {
    Path file = new Path(staging, name);
    try (FSDataOutputStream out = files.create(file, false)) {
      body.write(out);
      out.hsync();
    } catch (IOException e) {
      throw new UncheckedIOException("cannot write " + file + ": " + e.getMessage(), e);
    }
  }

  /**
   * Puts the folder in place.
   *
   * @throws InputException where something has appeared there in the meantime
   */
  void commit(boolean overwrite) {
    try {
      check(files, target, overwrite);
      Path replaced = null;
      if (files.exists(target)) {
        replaced =
            new Path(target.getParent(), "." + target.getName() + ".old-" + UUID.randomUUID());
        rename(target, replaced);
      }
      try {
        rename(staging, target);
      } catch (IOException e) {
        if (replaced != null) {
          rename(replaced, target);
        }
        throw e;
      }
      committed = true;
      if (replaced != null) {
        files.delete(replaced, true);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The folder, with its scheme. */
  String uri() {
    return target.toString();
  }

  /** Removes what was not committed. */
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
