package org.sparkmoe.job.report;

import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.InputException;

/** Makes pages about runs. */
public final class Reports {
  /** The page in a run folder. */
  public static final String FILE = "report.html";

  private Reports() {}

  /**
   * Writes the page of a run. Counts at most about half a million tokens of a layer, whatever the
   * run has.
   *
   * @param run its folder, or the folder of the runs of several layers; a Hadoop path
   * @param file a Hadoop path; replaced where a report is there
   * @throws InputException where {@code run} is no run, or {@code file} cannot be written
   */
  public static void write(SparkSession spark, String run, String file) {
    RunFolder folder = RunFolder.open(spark, run);
    check(spark, file);
    List<LayerReport> layers =
        folder.layers().stream()
            .map(layer -> LayerReport.read(layer, RouteCounts.MOST_TOKENS))
            .toList();
    save(spark, file, RunPage.of(layers));
  }

  /**
   * Writes a page of two runs side by side. Joins their outputs on the cluster; a few numbers of
   * each come to the driver.
   *
   * @param first run A: its folder, or the folder of the runs of several layers; a Hadoop path
   * @param second run B, in the same way
   * @param file a Hadoop path; replaced where a report is there
   * @return what was found, in lines for a terminal
   * @throws InputException where one is no run, they have no layer in common, or {@code file}
   *     cannot be written
   */
  public static List<String> compare(SparkSession spark, String first, String second, String file) {
    RunFolder a = RunFolder.open(spark, first);
    RunFolder b = RunFolder.open(spark, second);
    check(spark, file);
    List<Comparison> layers =
        LayerPair.of(a, b).stream()
            .map(pair -> Comparison.of(pair.first(), pair.second(), RouteCounts.MOST_TOKENS))
            .toList();
    save(spark, file, ComparePage.of(layers));
    List<String> lines = new ArrayList<>();
    for (Comparison layer : layers) {
      if (!lines.isEmpty()) {
        lines.add("");
      }
      lines.addAll(CompareTexts.of(layer));
    }
    return lines;
  }

  /**
   * Where the page of a comparison belongs: in the folder of {@code second}, under a name that
   * tells {@code first}, with as many of its folders as the two do not share.
   */
  public static String comparisonOf(SparkSession spark, String first, String second) {
    try {
      Path a = files(spark, new Path(first)).makeQualified(new Path(first));
      Path b = files(spark, new Path(second)).makeQualified(new Path(second));
      StringBuilder name = new StringBuilder(a.getName());
      while (!a.equals(b) && a.getName().equals(b.getName()) && !a.isRoot() && !b.isRoot()) {
        a = a.getParent();
        b = b.getParent();
        name.insert(0, a.isRoot() ? "" : a.getName() + "-");
      }
      return new Path(second, "compare-with-%s.html".formatted(name)).toString();
    } catch (IOException | IllegalArgumentException e) {
      throw new InputException(
          "%s or %s cannot be used: %s".formatted(first, second, e.getMessage()), e);
    }
  }

  /** Whether something is at {@code file}. */
  public static boolean exists(SparkSession spark, String file) {
    Path path = new Path(file);
    try {
      return files(spark, path).exists(path);
    } catch (IOException e) {
      throw new InputException("%s cannot be used: %s".formatted(file, e.getMessage()), e);
    }
  }

  /** Where the page of {@code run} belongs. */
  public static String fileOf(String run) {
    return new Path(run, FILE).toString();
  }

  /**
   * Checks that {@code file} can become a page, before anything is counted.
   *
   * @throws InputException where something else than a page is there
   */
  private static void check(SparkSession spark, String file) {
    try {
      Path path = new Path(file);
      FileSystem files = files(spark, path);
      if (!files.exists(path)) {
        return;
      }
      if (files.getFileStatus(path).isDirectory()) {
        throw new InputException("%s is a folder; name a file".formatted(file));
      }
      byte[] start = new byte[4096];
      int read;
      try (var in = files.open(path)) {
        read = in.readNBytes(start, 0, start.length);
      }
      if (!new String(start, 0, read, StandardCharsets.UTF_8).contains(Page.MARK)) {
        throw new InputException(
            "%s exists and is no report: only reports are replaced; name another file"
                .formatted(file));
      }
    } catch (IOException | IllegalArgumentException e) {
      throw new InputException("%s cannot be used: %s".formatted(file, e.getMessage()), e);
    }
  }

  private static void save(SparkSession spark, String file, String page) {
    Path path = new Path(file);
    try (OutputStream out = files(spark, path).create(path, true)) {
      out.write(page.getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new UncheckedIOException("%s cannot be written".formatted(file), e);
    }
  }

  private static FileSystem files(SparkSession spark, Path path) throws IOException {
    return path.getFileSystem(spark.sparkContext().hadoopConfiguration());
  }
}
