package org.sparkmoe.datasets.tokens;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.arrow.ArrowFiles;
import org.sparkmoe.datasets.delta.DeltaTables;

/** Finds out the format of an input that exists and has at least one data file. */
final class FormatDetector {
  private static final String PARQUET_MAGIC = "PAR1";

  /** Arrow's two layouts, and the old one that its source refuses with advice. */
  private static final String[] ARROW_MAGIC = {"ARROW1", "\u00ff\u00ff\u00ff\u00ff", "FEA1"};

  /** Names of tables as text, compressed or not. */
  private static final Pattern TEXT =
      Pattern.compile("(?i).*\\.(csv|tsv|txt|json|jsonl|ndjson)(\\.\\w+)?");

  private final String path;
  private final Configuration conf;

  FormatDetector(String path, Configuration conf) {
    this.path = path;
    this.conf = conf;
  }

  InputFormat detect() {
    if (path.toLowerCase(Locale.ROOT).contains(".safetensors#")) {
      return InputFormat.SAFETENSORS;
    }
    if (isDelta()) {
      return InputFormat.DELTA;
    }
    FileStatus file = firstFile();
    return byName(file.getPath().getName()).orElseGet(() -> byContent(file));
  }

  /** The first data file in or under the path, in no particular order. */
  FileStatus firstFile() {
    try {
      Path pattern = new Path(path);
      FileSystem fs = pattern.getFileSystem(conf);
      for (FileStatus match : matches(fs, pattern)) {
        Optional<FileStatus> file = match.isFile() ? Optional.of(match) : firstUnder(fs, match);
        if (file.isPresent()) {
          return file.get();
        }
      }
    } catch (IOException | IllegalArgumentException e) {
      throw unreadable(e);
    }
    throw new InputException("input " + path + " is empty: no data files; give one that has some");
  }

  /** Whether the path is a folder with the log of a Delta table. */
  private boolean isDelta() {
    try {
      Path log = new Path(path, DeltaTables.LOG);
      return log.getFileSystem(conf).exists(log);
    } catch (IOException | IllegalArgumentException e) {
      // What is wrong with the path is told when its files are looked for.
      return false;
    }
  }

  FileStatus[] matches(FileSystem fs, Path pattern) throws IOException {
    try {
      return new FileStatus[] {fs.getFileStatus(pattern)};
    } catch (FileNotFoundException e) {
      FileStatus[] matches = fs.globStatus(pattern);
      if (matches == null || matches.length == 0) {
        throw new InputException(
            "input %s does not exist; give a file, folder, glob or FILE.safetensors#TENSOR"
                .formatted(path),
            e);
      }
      return matches;
    }
  }

  private static Optional<FileStatus> firstUnder(FileSystem fs, FileStatus folder)
      throws IOException {
    for (FileStatus status : fs.listStatus(folder.getPath())) {
      String name = status.getPath().getName();
      // Hidden to Spark too: markers, checksums, what an unfinished write left behind.
      if (!name.startsWith("_") && !name.startsWith(".")) {
        Optional<FileStatus> file = status.isFile() ? Optional.of(status) : firstUnder(fs, status);
        if (file.isPresent()) {
          return file;
        }
      }
    }
    return Optional.empty();
  }

  private static Optional<InputFormat> byName(String name) {
    String lower = name.toLowerCase(Locale.ROOT);
    if (lower.endsWith(".parquet")) {
      return Optional.of(InputFormat.PARQUET);
    }
    if (lower.endsWith(".safetensors")) {
      return Optional.of(InputFormat.SAFETENSORS);
    }
    return ArrowFiles.isArrowName(lower) ? Optional.of(InputFormat.ARROW) : Optional.empty();
  }

  private InputFormat byContent(FileStatus file) {
    String head;
    try (FSDataInputStream in = file.getPath().getFileSystem(conf).open(file.getPath())) {
      head = new String(in.readNBytes(8), StandardCharsets.ISO_8859_1);
    } catch (IOException e) {
      throw unreadable(e);
    }
    if (head.startsWith(PARQUET_MAGIC)) {
      return InputFormat.PARQUET;
    }
    for (String magic : ARROW_MAGIC) {
      if (head.startsWith(magic)) {
        return InputFormat.ARROW;
      }
    }
    throw new InputException(
        TEXT.matcher(file.getPath().getName()).matches()
            ? "%s is a text file; CSV and JSON are not read: write the table as Parquet"
                .formatted(file.getPath())
            : "cannot tell the format of %s; name it with --input-format parquet, arrow, safetensors or delta"
                .formatted(file.getPath()));
  }

  private InputException unreadable(Exception e) {
    return new InputException("cannot read input " + path + ": " + InputFailures.firstLine(e), e);
  }
}
