package org.sparkmoe.datasets.arrow;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;

/** Finds the Arrow files behind a path and indexes them. */
public final class ArrowFiles {
  private static final List<String> SUFFIXES = List.of(".arrow", ".arrows", ".feather", ".ipc");

  /** Footers are small reads that mostly wait, on an object store for 100 ms each. */
  private static final int PARALLEL_INDEXING = 16;

  private ArrowFiles() {}

  /** Whether a file of this name is taken for Arrow. */
  public static boolean isArrowName(String name) {
    String lower = name.toLowerCase(Locale.ROOT);
    return SUFFIXES.stream().anyMatch(lower::endsWith);
  }

  /** Indexes a file, the Arrow files directly in a folder, or whatever a glob matches. */
  static List<ArrowIndex> index(String path, Configuration conf) {
    List<FileStatus> files = new ArrayList<>();
    try {
      Path pattern = new Path(path);
      FileSystem fs = pattern.getFileSystem(conf);
      for (FileStatus match : matches(fs, pattern)) {
        files.addAll(match.isDirectory() ? inFolder(fs, match.getPath()) : List.of(match));
      }
    } catch (IOException | IllegalArgumentException e) {
      throw new InputException("cannot read input path " + path + ": " + e.getMessage(), e);
    }
    if (files.isEmpty()) {
      throw new InputException(
          "input %s has no Arrow files (%s); give a file, a folder or a glob of them"
              .formatted(path, String.join(", ", SUFFIXES)));
    }
    files.sort(Comparator.comparing(file -> file.getPath().toString()));
    return indexAll(files, conf);
  }

  private static List<FileStatus> matches(FileSystem fs, Path pattern) throws IOException {
    try {
      // A name with brackets in it is a name first and a glob only if there is no such file.
      return List.of(fs.getFileStatus(pattern));
    } catch (FileNotFoundException e) {
      FileStatus[] matches = fs.globStatus(pattern);
      if (matches == null || matches.length == 0) {
        throw new InputException(
            "input %s does not exist; give a file, a folder or a glob".formatted(pattern), e);
      }
      return Arrays.asList(matches);
    }
  }

  private static List<FileStatus> inFolder(FileSystem fs, Path folder) throws IOException {
    return Arrays.stream(fs.listStatus(folder))
        .filter(FileStatus::isFile)
        .filter(file -> !file.getPath().getName().matches("[._].*"))
        .filter(file -> isArrowName(file.getPath().getName()))
        .toList();
  }

  private static List<ArrowIndex> indexAll(List<FileStatus> files, Configuration conf) {
    ExecutorService threads =
        Executors.newFixedThreadPool(
            Math.min(files.size(), PARALLEL_INDEXING), Thread.ofVirtual().factory());
    try (threads) {
      List<Future<ArrowIndex>> indexes = new ArrayList<>();
      for (FileStatus file : files) {
        indexes.add(
            threads.submit(
                () -> ArrowIndexer.index(file.getPath().toString(), file.getLen(), conf)));
      }
      List<ArrowIndex> result = new ArrayList<>();
      for (Future<ArrowIndex> index : indexes) {
        result.add(index.get());
      }
      return List.copyOf(result);
    } catch (InterruptedException e) {
      threads.shutdownNow();
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while reading Arrow footers", e);
    } catch (ExecutionException e) {
      threads.shutdownNow();
      if (e.getCause() instanceof InputException bad) {
        throw bad;
      }
      throw new IllegalStateException(e.getCause());
    }
  }
}
