package org.sparkmoe.job.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.entry;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.job.report.OutputDifferences.Distance;
import org.sparkmoe.job.report.OutputPair.Kind;

/** Two small runs side by side, against what a reader of their tables counts. */
@ExtendWith(LocalSpark.class)
final class ComparisonTest {
  /** Kinds of tokens in the order of {@link #SECOND}; ids 5 and 9 are as bad in both. */
  private static final String FIRST =
      """
      SELECT * FROM VALUES
        (1L, array(3f, 4f), null), (2L, array(1f, 0f), null), (3L, array(0f, 0f), null),
        (4L, null, 'bad'), (5L, null, 'bad'), (6L, array(1f, 1f), null), (7L, null, 'x'),
        (8L, array(1f, 1f), null), (9L, null, 'twice'), (9L, null, 'twice'), (null, null, 'no id'),
        (12L, array(float('nan'), 1f), null)
      AS t(token_id, output, error)
      """;

  private static final String SECOND =
      """
      SELECT * FROM VALUES
        (1L, array(3f, 4f), null), (2L, array(1f, 0.5f), null), (3L, array(0f, 1f), null),
        (4L, array(1f, 1f), null), (5L, null, 'bad'), (7L, null, 'y'),
        (8L, array(1f, 1f, 1f), null), (9L, null, 'twice'), (9L, null, 'twice'), (null, null, 'no id'),
        (11L, array(1f, 1f), null), (12L, array(float('nan'), 1f), null)
      AS t(token_id, output, error)
      """;

  @TempDir private static Path folder;

  private static Path first;
  private static Path second;
  private static Comparison runs;

  @BeforeAll
  static void compare(SparkSession spark) {
    first = MadeRun.write(spark, folder.resolve("a [run]"), MadeRun.routes(), FIRST);
    List<Row> routes = new ArrayList<>();
    // token 11 has its experts in another order, token 12 expert 1 for 2, and 13 is new
    route(routes, 10, 0, 2);
    route(routes, 11, 0, 2);
    route(routes, 12, 3, 1);
    route(routes, 13, 1, 2);
    second = MadeRun.write(spark, folder.resolve("b"), routes, SECOND);
    loads(spark, second, 2, 2, 2, 2);
    runs = compare(spark, first, second);
  }

  private static void route(List<Row> routes, long token, int... experts) {
    for (int slot = 0; slot < experts.length; slot++) {
      routes.add(RowFactory.create(token, slot, experts[slot], 0.5f));
    }
  }

  private static void loads(SparkSession spark, Path run, long... tokens) {
    List<String> rows = new ArrayList<>();
    for (int expert = 0; expert < tokens.length; expert++) {
      rows.add("(%d, null, null, %dL, 0.0, 1.0, 2D)".formatted(expert, tokens[expert]));
    }
    spark
        .sql(
            "SELECT * FROM VALUES %s AS t(expert_id, lane, copies, tokens, share, weight_mass, kernel_ms)"
                .formatted(String.join(", ", rows)))
        .write()
        .mode(SaveMode.Overwrite)
        .parquet(run + "/expert_stats");
  }

  private static Comparison compare(SparkSession spark, Path a, Path b) {
    return Comparison.of(
        RunFolder.open(spark, a.toString()), RunFolder.open(spark, b.toString()), 1000);
  }

  @Test
  void tokensAreOfOneKindEach() {
    OutputDifferences outputs = runs.outputs().orElseThrow();

    assertThat(outputs.tokens())
        .containsOnly(
            entry(Kind.ONLY_FIRST, 1L),
            entry(Kind.ONLY_SECOND, 1L),
            entry(Kind.FAILED_FIRST, 1L),
            entry(Kind.OTHER_REASON, 1L),
            entry(Kind.SAME_REASON, 2L),
            entry(Kind.OTHER_WIDTH, 1L),
            entry(Kind.COMPARED, 4L));
    assertThat(outputs.otherErrors()).isEqualTo(2);
  }

  @Test
  void distancesAreOfTheComparedTokens() {
    OutputDifferences outputs = runs.outputs().orElseThrow();

    // 0 of token 1 and of the equal NaN of token 12, a half of token 2, beside zeros token 3
    assertThat(outputs.equal()).isEqualTo(2);
    assertThat(outputs.infinite()).isEqualTo(1);
    assertThat(outputs.largest()).isInfinite();
    assertThat(outputs.p99()).isInfinite();
    assertThat(outputs.median()).isZero();
    assertThat(outputs.mean()).isCloseTo(0.5 / 3, within(1e-12));
    assertThat(outputs.worst())
        .containsExactly(new Distance(3, Double.POSITIVE_INFINITY, 1), new Distance(2, 0.5, 0.5));
    long[] histogram = new long[OutputDifferences.BINS + 1];
    histogram[0] = 2;
    // 10^(−1/2) to 1, and beyond
    histogram[20] = 1;
    histogram[22] = 1;
    assertThat(outputs.histogram()).isEqualTo(histogram);
    assertThat(CompareData.label(20)).isEqualTo("3e-01 …");
    assertThat(CompareData.label(1)).isEqualTo("< 3e-10");
    assertThat(CompareData.label(22)).isEqualTo("≥ 3e+00");
  }

  @Test
  void routesOfTokensInBothRuns() {
    RouteChanges routes = runs.routes().orElseThrow();

    assertThat(routes.byMoved()).containsExactly(2, 1, 0);
    assertThat(routes.tokens()).isEqualTo(3);
    assertThat(routes.changed()).isEqualTo(1);
    assertThat(routes.moved()).isEqualTo(1);
    assertThat(routes.slots()).isEqualTo(6);
    assertThat(routes.reordered()).isEqualTo(1);
    // (2, 0, 3, 1) of 6 beside a quarter each
    assertThat(runs.drift().orElseThrow().totalVariation()).isCloseTo(1 / 3.0, within(1e-12));
  }

  @Test
  void aRunBesideItselfDiffersInNothing(SparkSession spark) {
    Comparison same = compare(spark, first, first);

    assertThat(CompareTexts.of(same))
        .contains("differ   nothing: equal facts and options")
        .anyMatch(line -> line.contains("0 of 3 tokens have other experts"))
        .anyMatch(
            line -> line.contains("6 compared, 6 of them equal; 0 only in A, 0 only in B, 0 "));
    assertThat(same.notes()).isEmpty();
    assertThat(spark.sparkContext().getPersistentRDDs().isEmpty()).isTrue();
  }

  @Test
  void whatCannotBeComparedIsToldAndTheRestIs(SparkSession spark) throws Exception {
    Path other =
        MadeRun.write(
            spark,
            folder.resolve("other"),
            List.of(),
            "SELECT 99L AS token_id, array(1f) AS output, CAST(null AS STRING) AS error");
    loads(spark, other, 1, 2, 3);
    String manifest = Files.readString(other.resolve("manifest.json"));
    Files.writeString(
        other.resolve("manifest.json"),
        manifest
            .replace("\"layer\": 3", "\"layer\": 5")
            .replace("\"hidden\": 100", "\"hidden\": 1"));

    Comparison found = compare(spark, first, other);

    assertThat(found.notes())
        .satisfiesExactly(
            note -> assertThat(note).contains("A is layer 3 and B is layer 5"),
            note -> assertThat(note).contains("A has 4 experts and B has 3", "not compared"),
            note -> assertThat(note).contains("No token is in both runs"));
    assertThat(found.routes()).isEmpty();
    assertThat(found.drift()).isEmpty();
    assertThat(found.outputs().orElseThrow().count(Kind.ONLY_SECOND)).isEqualTo(1);
    assertThat(CompareTexts.of(found))
        .anyMatch(line -> line.startsWith("differ   model layer, model shape hidden"))
        .anyMatch(line -> line.startsWith("speed    1 tokens/s in A, 1 in B: 1.00 ×"));
    assertThat(runs.notes())
        .containsExactly(
            "Outputs are of different widths (100 values in A, 100 in B): no distance of 1"
                + " tokens.");
  }

  @Test
  void aMissingTableIsToldAndTheRestIs(SparkSession spark) {
    Path bare = MadeRun.write(spark, folder.resolve("bare"), MadeRun.routes(), FIRST);
    assertThat(bare.resolve("outputs").toFile().renameTo(folder.resolve("away").toFile())).isTrue();

    Comparison found = compare(spark, first, bare);

    assertThat(found.notes()).containsExactly("outputs/ is missing in B, so it is not compared.");
    assertThat(found.outputs()).isEmpty();
    assertThat(found.routes().orElseThrow().changed()).isZero();
  }

  @Test
  void layersOfSeveralAreComparedOneByOne(SparkSession spark) throws Exception {
    Path both = several("both", first, 3, 4);
    Path one = several("one", second, 9, 3);

    List<LayerPair> pairs =
        LayerPair.of(RunFolder.open(spark, both.toString()), RunFolder.open(spark, one.toString()));

    assertThat(pairs).hasSize(1);
    assertThat(pairs.getFirst().first().layer()).isEqualTo(3);
    Path strange = several("strange", second, 7, 8);
    assertThatThrownBy(
            () ->
                LayerPair.of(
                    RunFolder.open(spark, both.toString()),
                    RunFolder.open(spark, strange.toString())))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("has layers 3, 4 and")
        .hasMessageContaining("layers 7, 8, none in both");
  }

  private static Path several(String name, Path run, int... layers) throws Exception {
    Path runsOf = Files.createDirectory(folder.resolve(name));
    List<String> entries = new ArrayList<>();
    for (int layer : layers) {
      Path copy = Files.createDirectory(runsOf.resolve("layer=" + layer));
      String manifest = Files.readString(run.resolve("manifest.json"));
      Files.writeString(
          copy.resolve("manifest.json"), manifest.replace("\"layer\": 3", "\"layer\": " + layer));
      entries.add("{\"layer\": %d, \"path\": \"layer=%d\"}".formatted(layer, layer));
    }
    Files.writeString(
        runsOf.resolve("manifest.json"),
        "{\"layers\": [%s]}".formatted(String.join(", ", entries)));
    return runsOf;
  }
}
