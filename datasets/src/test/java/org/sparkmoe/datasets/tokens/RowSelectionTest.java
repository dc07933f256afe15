package org.sparkmoe.datasets.tokens;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.InputException;

/** Which rows an input gives, by value, by hash and by number. */
@ExtendWith(LocalSpark.class)
final class RowSelectionTest {
  private static final int ROWS = 2000;

  @TempDir private static Path folder;

  private static String one;
  private static String many;

  @BeforeAll
  static void makeTables(SparkSession spark) {
    one = folder.resolve("one").toString();
    many = folder.resolve("many").toString();
    var rows =
        spark.sql(
            """
            SELECT IF(id = 7, NULL, id) AS token_id, array(1F) AS hidden,
                   CAST(id %% 3 AS INT) AS part, date_add(DATE'2026-11-20', CAST(id %% 10 AS INT)) AS day,
                   TIMESTAMP'2026-11-20 00:00:00' + make_dt_interval(0, 0, 0, id) AS at,
                   format_string('run-%%04d', id) AS `run.name`, id * 0.5D AS score,
                   id %% 2 = 0 AS even, IF(id %% 2 = 0, NULL, CAST(id AS DECIMAL(9, 2))) AS amount
            FROM range(%d)
            """
                .formatted(ROWS));
    rows.coalesce(1).write().parquet(one);
    rows.repartition(5).write().partitionBy("part").parquet(many);
  }

  private static RowSelection since(String text) {
    return new RowSelection(
        Optional.of(RowSelection.Since.parse(text)), OptionalDouble.empty(), OptionalInt.empty());
  }

  private static RowSelection sample(double fraction) {
    return new RowSelection(Optional.empty(), OptionalDouble.of(fraction), OptionalInt.empty());
  }

  /** The ids in order; null becomes −1. */
  private static List<Long> ids(SparkSession spark, String path, RowSelection selection) {
    return TokenSource.open(spark, TokenOptions.of(path).withRows(selection))
        .rows()
        .select("token_id")
        .collectAsList()
        .stream()
        .map((Row row) -> row.isNullAt(0) ? -1L : row.getLong(0))
        .sorted()
        .toList();
  }

  @Test
  void aSampleDoesNotDependOnPartitions(SparkSession spark) {
    List<Long> sampled = ids(spark, one, sample(0.1));

    assertThat(ids(spark, many, sample(0.1))).isEqualTo(sampled);
    assertThat((double) sampled.size()).isCloseTo(ROWS * 0.1, within(60.0));
    assertThat(sampled).as("rows without an id are errors, and stay").contains(-1L);
  }

  @Test
  void aSmallerSampleIsPartOfALarger(SparkSession spark) {
    List<Long> tenth = ids(spark, one, sample(0.1));
    List<Long> half = ids(spark, one, sample(0.5));

    assertThat(half).containsAll(tenth).hasSizeBetween(900, 1100);
    assertThat(ids(spark, one, sample(1))).hasSize(ROWS);
    assertThat(ids(spark, one, sample(Double.MIN_VALUE))).containsExactly(-1L);
  }

  @ParameterizedTest
  @CsvSource({
    "day=2026-11-29, 200",
    "day=2026-11-30, 0",
    "at=2026-11-20 00:30:00, 200",
    "run.name=run-1990, 10",
    "score=999.0, 2",
    "score=-1e300, 2000",
    "token_id=1998, 2",
    "amount=1997.00, 2",
    "part=2, 666",
  })
  void sinceKeepsTheValueAndWhatComesAfter(String text, int rows, SparkSession spark) {
    // 1800 s is half an hour: rows 1800 to 1999
    assertThat(ids(spark, many, since(text))).hasSize(rows);
  }

  @ParameterizedTest
  @CsvSource({
    "day=someday, '\"someday\" is no DATE, the type of column \"day\"'",
    "token_id=2026-11-24, is no BIGINT",
    "part=3000000000, is no INT",
    "even=true, 'is BOOLEAN, which has no order'",
    "hidden=1, 'is ARRAY<FLOAT>, which has no order'",
    "date=1, 'no --since column \"date\"; its columns are'",
  })
  void sinceRefusesWhatHasNoOrder(String text, String words, SparkSession spark) {
    assertThatThrownBy(() -> ids(spark, many, since(text)))
        .isInstanceOf(InputException.class)
        .hasMessageContaining(words);
  }

  @ParameterizedTest
  @ValueSource(strings = {"day", "=2026-11-24", "day=", ""})
  void sinceIsAColumnAndAValue(String text) {
    assertThatThrownBy(() -> since(text))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("is no COLUMN=VALUE");
  }

  @Test
  void aValueMayHoldAnEqualsSign() {
    assertThat(RowSelection.Since.parse("a= b=c ")).isEqualTo(new RowSelection.Since("a", "b=c"));
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, -0.1, 1.0001, Double.NaN, Double.POSITIVE_INFINITY})
  void aSampleIsAFraction(double fraction) {
    assertThatThrownBy(() -> sample(fraction))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("is outside 0 to 1");
  }

  @Test
  void allThreeTogetherLimitTheSampleOfWhatIsNew(SparkSession spark) {
    RowSelection both =
        new RowSelection(
            Optional.of(new RowSelection.Since("token_id", "1000")),
            OptionalDouble.of(0.5),
            OptionalInt.of(20));

    List<Long> found = ids(spark, many, both);

    assertThat(found).hasSize(20).allMatch(id -> id >= 1000);
    assertThat(ids(spark, one, sample(0.5))).containsAll(found);
    assertThat(ids(spark, one, both)).isEqualTo(found);
  }

  @Test
  void nothingNewIsNoError(SparkSession spark) {
    RowSelection none =
        new RowSelection(
            Optional.of(new RowSelection.Since("token_id", "5000")),
            OptionalDouble.empty(),
            OptionalInt.of(3));
    assertThat(ids(spark, one, none)).isEmpty();
  }
}
