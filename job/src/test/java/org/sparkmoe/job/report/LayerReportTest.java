package org.sparkmoe.job.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.job.report.Coactivation.Pair;
import org.sparkmoe.job.report.ErrorReasons.Reason;

/** What is counted of a run, against counts by hand. */
@ExtendWith(LocalSpark.class)
final class LayerReportTest {
  @TempDir private static Path folder;

  private static Path run;
  private static LayerReport layer;

  @BeforeAll
  static void read(SparkSession spark) {
    // brackets are a pattern, not a name, where Spark reads
    run =
        MadeRun.write(
            spark,
            folder.resolve("a [run]"),
            MadeRun.routes(),
            "SELECT 1L AS token_id, array(1f) AS output");
    layer = LayerReport.read(RunFolder.open(spark, run.toString()), 1000);
  }

  @Test
  void pairsAreCountedOnceInEitherOrder() {
    assertThat(layer.routes().tokens()).isEqualTo(3);
    assertThat(layer.routes().sampled()).isFalse();
    assertThat(layer.routes().pairs().strongest(9))
        .containsExactly(new Pair(0, 2, 2), new Pair(2, 3, 1));
  }

  @Test
  void weightsAreBinnedBySlot() {
    Bins bins = layer.routes().weights();
    long[][] counts = layer.routes().weightCounts();

    assertThat(bins).isEqualTo(new Bins(0, 2, 40));
    assertThat(counts).hasDimensions(2, 40);
    assertThat(nonZero(counts[0])).containsExactly("20: 1", "30: 1", "39: 1");
    assertThat(nonZero(counts[1])).containsExactly("0: 1", "10: 1", "20: 1");
  }

  @Test
  void entropyIsOfTheWeightsOfAToken() {
    // 1 bit for equal weights, 0.811 for 3 : 1, 0 for one alone
    assertThat(layer.routes().entropies()).isEqualTo(new Bins(0, 1, 40));
    assertThat(nonZero(layer.routes().entropyCounts())).containsExactly("0: 1", "32: 1", "39: 1");
  }

  private static List<String> nonZero(long[] counts) {
    return IntStream.range(0, counts.length)
        .filter(bin -> counts[bin] != 0)
        .mapToObj(bin -> bin + ": " + counts[bin])
        .toList();
  }

  @Test
  void expertsAndTheirSpeed() {
    assertThat(layer.experts().tokens()).containsExactly(2, 0, 3, 1);
    assertThat(layer.experts().lane()).containsOnly(-1);
    assertThat(layer.unused()).isEqualTo(1);
    // 6 · 100 · 50 operations a token; 3 tokens in 3 ms
    assertThat(layer.gigaflops(2)).isCloseTo(0.03, within(1e-12));
    assertThat(layer.gigaflops(1)).isZero();
    assertThat(layer.gigaflops()).isCloseTo(30_000 * 6 / 8e-3 / 1e9, within(1e-12));
  }

  @Test
  void theCommonestReasonsAreNamedAndTheOthersCounted() {
    ErrorReasons errors = layer.errors();

    assertThat(errors.commonest()).hasSize(20).startsWith(new Reason("read", "common", 20));
    assertThat(errors.commonest().get(1)).isEqualTo(new Reason("read", "<b>rare</b>", 1));
    assertThat(errors.otherReasons()).isEqualTo(6);
    assertThat(errors.otherRows()).isEqualTo(6);
  }

  @Test
  void severalLayersAreOnePage(SparkSession spark) throws Exception {
    Path runs = Files.createDirectory(folder.resolve("runs"));
    Files.createSymbolicLink(runs.resolve("layer=3"), run);
    Files.writeString(
        runs.resolve("manifest.json"),
        "{\"layers\": [{\"layer\": 3, \"path\": \"layer=3\"}, {\"layer\": 3, \"path\":"
            + " \"layer=3\"}]}");

    Reports.write(spark, runs.toString(), Reports.fileOf(runs.toString()));

    assertThat(runs.resolve("report.html"))
        .content()
        .contains("<h1>2 layers", "<option value=\"1\">3", "Load of experts in all layers");
  }

  @Test
  void aSampleIsWholeTokensAndTheSameEachTime(SparkSession spark) {
    RunFolder opened = RunFolder.open(spark, run.toString());

    RouteCounts some = RouteCounts.of(opened, 4, 2, 2);
    RouteCounts again = RouteCounts.of(opened, 4, 2, 2);

    assertThat(some.sampled()).isTrue();
    assertThat(some.tokens()).isLessThanOrEqualTo(3);
    assertThat(some.pairs().total()).isEqualTo(some.tokens());
    assertThat(again.pairs().counts()).isEqualTo(some.pairs().counts());
    assertThat(Arrays.stream(again.entropyCounts()).sum()).isEqualTo(some.tokens());
  }

  @Test
  void aSampleIsAboutAsLargeAsAsked(SparkSession spark) {
    long rows = Sample.of(spark.range(100_000).toDF("token_id"), 0.1).count();

    // five standard deviations
    assertThat(rows).isBetween(10_000L - 475, 10_000L + 475);
  }

  @Test
  void thePageHoldsTheCounts(SparkSession spark) throws Exception {
    String file = folder.resolve("page.html").toString();
    Reports.write(spark, run.toString(), file);
    String page = Files.readString(Path.of(file));

    String data = page.replaceFirst("(?s).*<script id=\"data\" type=\"application/json\">", "");
    JsonNode json = Layers.json(data.substring(0, data.indexOf("</script>"))).at("/layers/0");
    assertThat(json.at("/tokens").toString()).isEqualTo("[2,0,3,1]");
    assertThat(json.at("/pairs/cells").toString()).isEqualTo("[0,0,2,0,0,0,0,0,1,0]");
    assertThat(page).contains("3 of 4", "&lt;b&gt;rare&lt;/b&gt;").doesNotContain("<b>rare");
    // a report gives way to a report, and nothing else does
    Reports.write(spark, run.toString(), file);
    Path letter = Files.writeString(folder.resolve("letter.html"), "<p>Dear");
    assertThatThrownBy(() -> Reports.write(spark, run.toString(), letter.toString()))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("is no report");
    assertThat(letter).hasContent("<p>Dear");
  }
}
