package org.sparkmoe.udfs.sql;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.datasets.tokens.LocalSpark;

@ExtendWith(LocalSpark.class)
final class MoeFunctionCatalogTest {

  @BeforeAll
  static void register(SparkSession spark) {
    MoeFunctionCatalog.register(spark);
  }

  private static Row one(SparkSession spark, String expression) {
    return spark.sql("SELECT " + expression).first();
  }

  @ParameterizedTest
  @CsvSource({"f32", "bf16", "f16", "F32"})
  void vectorsSurviveEncodeAndDecode(String dtype, SparkSession spark) {
    Row row =
        one(
            spark,
            "moe.decode(moe.encode(array(1.5f, -2f, 0f), '%s'), '%s')".formatted(dtype, dtype));
    assertThat(row.<Float>getList(0)).containsExactly(1.5f, -2f, 0f);
  }

  @Test
  void encodeIsLittleEndian(SparkSession spark) {
    assertThat((byte[]) one(spark, "moe.encode(array(1f), 'bf16')").get(0))
        .containsExactly(0x80, 0x3F);
  }

  @Test
  void nullElementsBecomeNan(SparkSession spark) {
    assertThat(
            one(spark, "moe.decode(moe.encode(array(1f, CAST(NULL AS FLOAT)), 'f32'), 'f32')")
                .<Float>getList(0))
        .containsExactly(1f, Float.NaN);
  }

  /** Rows that come out of a shuffle hold arrays in Spark's own layout. */
  @Test
  void nullElementsOfShuffledArraysBecomeNan(SparkSession spark) {
    for (int at : new int[] {1, 64, 65, 130}) {
      var vectors =
          spark
              .sql(
                  "SELECT transform(sequence(1, 130), i -> IF(i = %d, NULL, float(i))) AS v"
                      .formatted(at))
              .repartition(1);
      var decoded =
          vectors
              .selectExpr("moe.decode(moe.encode(v, 'f32'), 'f32') AS v")
              .selectExpr(
                  "filter(transform(v, (x, i) -> IF(isnan(x), i + 1, NULL)), x -> x IS NOT NULL)")
              .first();

      assertThat(decoded.getList(0)).as("null at %d", at).isEqualTo(List.of(at));
    }
  }

  @Test
  void nullsStayNull(SparkSession spark) {
    assertThat(one(spark, "moe.decode(NULL, 'f32')").isNullAt(0)).isTrue();
    assertThat(one(spark, "moe.topk_ids(NULL, 'softmax k=1')").isNullAt(0)).isTrue();
  }

  @Test
  void routesLikeTheRouter(SparkSession spark) {
    Row row =
        one(
            spark,
            """
            moe.topk_ids(array(0.1f, 2f, 2f, -1f), 'softmax k=2 renormalize'),
            moe.topk_weights(array(0.1f, 2f, 2f, -1f), 'softmax k=2 renormalize')\
            """);
    assertThat(row.<Integer>getList(0)).containsExactly(1, 2);
    assertThat(row.<Float>getList(1)).containsExactly(0.5f, 0.5f);
  }

  @Test
  void everyRuleOfTheGrammarParses() {
    for (String rule :
        List.of(
            "softmax k=2",
            "logits k=2 softmax-after",
            "logits, k=1, sigmoid-after",
            "sigmoid k=2 groups=4/2:top2 renormalize scale=2.5",
            "softmax k=2 groups=4/2:max",
            "softmax k=2 norm=2",
            "SPARSEMIXER jitter=0.02")) {
      assertThat(RoutingRuleText.parse(rule).topK()).as(rule).isBetween(1, 2);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "softmx k=2,unknown word 'softmx'",
    "softmax,needs a scoring",
    "softmax k=two,not a number",
    "softmax k=2 groups=4,write groups=COUNT/KEPT",
    "softmax k=2 groups=4/2:avg,known are max and top2"
  })
  void wrongRulesSayWhatIsWrong(String rule, String message) {
    assertThatThrownBy(() -> RoutingRuleText.parse(rule)).hasMessageContaining(message);
  }

  @Test
  void wrongArgumentsAreNamed(SparkSession spark) {
    assertThatThrownBy(() -> one(spark, "moe.decode('x', 'f32')"))
        .hasMessageContaining("decode takes (BINARY, STRING), not (STRING, STRING)");
    assertThatThrownBy(() -> one(spark, "moe.decode(X'00', 'f32')"))
        .hasStackTraceContaining("1 bytes are not a whole number of F32 elements of 4 bytes");
    assertThatThrownBy(() -> one(spark, "moe.decode(X'00', 'f8')"))
        .hasStackTraceContaining("unknown element type 'f8'; known are f32, bf16, f16");
  }
}
