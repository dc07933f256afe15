package org.sparkmoe.udfs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Random;
import org.apache.spark.sql.AnalysisException;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.datasets.tokens.LocalSpark;

/** The functions in a session that was given nothing but the name of the extension. */
@ExtendWith(LocalSpark.class)
final class MoeExtensionsTest {
  private static SparkSession extended;

  @BeforeAll
  static void start(SparkSession shared) {
    // what --conf does; Spark looks there, by name, whenever it makes a first session
    shared.sparkContext().conf().set("spark.sql.extensions", "org.sparkmoe.udfs.MoeExtensions");
    SparkSession.clearActiveSession();
    SparkSession.clearDefaultSession();
    try {
      extended = SparkSession.builder().getOrCreate();
    } finally {
      shared.sparkContext().conf().remove("spark.sql.extensions");
      SparkSession.setDefaultSession(shared);
      SparkSession.setActiveSession(shared);
    }
    assertThat(extended).isNotSameAs(shared);
  }

  private static Row one(String select) {
    return extended.sql("SELECT " + select).first();
  }

  @Test
  void describesArgumentsAndExamples() {
    String text =
        String.join(
            "\n",
            extended.sql("DESCRIBE FUNCTION EXTENDED moe_topk").collectAsList().stream()
                .map(row -> row.getString(0))
                .toList());
    assertThat(text)
        .contains(
            "Function: moe_topk",
            "Usage: moe_topk(logits, rule) - the experts that a routing rule chooses",
            "* logits - ARRAY<FLOAT>, one value per expert",
            "* rule - constant STRING, how experts are chosen",
            "> SELECT moe_topk(array(0.1, 2.0, -1.0, 1.5), 'softmax k=2 renormalize');",
            "Since: 0.1.0");
  }

  @Test
  void routesBecomeRows() {
    List<Row> rows =
        extended
            .sql(
                """
                SELECT token_id, inline(moe_topk(logits, 'softmax k=2 renormalize'))
                FROM VALUES (1L, array(0.1D, 2D, 2D, -1D)), (2L, NULL), (3L, array(5D, 0D, 0D, 0D))
                  AS t(token_id, logits)
                ORDER BY token_id, topk_weight DESC, expert_id\
                """)
            .collectAsList();
    assertThat(rows.stream().map(row -> row.getLong(0) + ":" + row.getInt(1)).toList())
        .containsExactly("1:1", "1:2", "3:0", "3:1");
    assertThat(rows.get(0).getFloat(2)).isEqualTo(0.5f);
  }

  @Test
  void nullsStayNull() {
    Row row =
        one(
            """
            moe_decode(NULL, 'f32'), moe_topk(NULL, 'softmax k=1'), moe_quantize(NULL, 'mxfp8'),
            moe_dequantize(NULL, X'', 'int8 per token'), moe_imbalance(NULL),
            moe_unpack(NULL, X'', X'', X'', X'', X'', X''), moe_decode(X'', CAST(NULL AS STRING)),
            moe_imbalance(array(0L, 0L))\
            """);
    for (int i = 0; i < row.length(); i++) {
      assertThat(row.isNullAt(i)).as("column %d", i).isTrue();
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "moe_topk(l, concat('softmax k=', id)) | moe_topk: rule must be a constant, not concat",
        "moe_topk(l, 'softmx k=2') | moe_topk: routing rule 'softmx k=2': unknown word 'softmx'",
        "moe_topk(l) | moe_topk takes (ARRAY<FLOAT>, STRING), not 1 arguments",
        "moe_decode(l, 'f32') | (ARRAY<FLOAT>, STRING); an array needs no decoding: take it as it"
            + " is",
        "moe_encode(X'00', 'f32') | (BINARY, STRING); moe_decode makes an array of a BINARY vector",
        "moe_topk(id, 'softmax k=2') | moe_topk takes (ARRAY<FLOAT>, STRING), not (BIGINT, STRING)",
        "moe_decode(X'00', 'f8') | moe_decode: unknown element type 'f8'; known are f32, bf16, f16",
        "moe_quantize(l, 'int4 per token') | moe_quantize: scheme 'int4 per token': unknown word",
        "moe_quantize(l, 'e4m3 per tensor') | it needs the scale for all vectors",
        "moe_quantize(l, 'int8 per token scale=2') | its scales are computed",
        "moe_quantize(l, 'e4m3') | it needs codes (int8 or e4m3) and 'per token'",
        "moe_expert_load(1, 0) | moe_expert_load: experts 0 is outside 1 to",
        "moe_expert_load(1, int(id)) | moe_expert_load: experts must be a constant",
        "moe_gate(l, 'no/such/model', 1) | moe_gate: no folder",
      })
  void whatCannotBeIsRefusedWhenAQueryIsAnalyzed(String call, String message) {
    assertThatThrownBy(
            () ->
                extended.sql(
                    "SELECT " + call + " FROM (SELECT id, array(1f, 2f) l FROM range(1)) t"))
        .isInstanceOf(AnalysisException.class)
        .hasMessageContaining(message);
  }

  @Test
  void lengthsThatDoNotFitAreNamed() {
    assertThatThrownBy(() -> one("moe_dequantize(X'4081', X'00', 'int8 per token')"))
        .hasStackTraceContaining("2 bytes of codes (int8 per token) need 4 bytes of scales, not 1");
    assertThatThrownBy(
            () ->
                one(
                    "moe_unpack(X'0900000000000000', X'0000000002000000', X'00000000',"
                        + " X'05000000', X'0000803F', X'40', X'')"))
        .hasStackTraceContaining("slot_offsets does not fit the other columns of the block");
  }

  @ParameterizedTest
  @CsvSource({
    "int8 per token, 0.02",
    "fp8 per token, 0.1",
    "e4m3 per 16, 0.1",
    "int8 per 7, 0.02",
    "mxfp8, 0.1",
    "nvfp4 scale=0.002, 0.4",
    "e4m3 per tensor scale=0.01, 0.1"
  })
  void vectorsSurviveQuantizing(String scheme, double tolerance) {
    long seed = 20261124;
    Random random = new Random(seed);
    StringBuilder vector = new StringBuilder("array(0f");
    for (int i = 1; i < 40; i++) {
      vector.append(", ").append((float) random.nextGaussian()).append('f');
    }
    vector.append(')');
    Row row =
        one(
            """
            v, moe_dequantize(q.codes, q.scales, '%1$s')
            FROM (SELECT v, moe_quantize(v, '%1$s') q FROM (SELECT %2$s AS v))\
            """
                .formatted(scheme, vector));
    List<Float> before = row.getList(0);
    List<Float> after = row.getList(1);
    assertThat(after).hasSameSizeAs(before);
    for (int i = 0; i < before.size(); i++) {
      assertThat(Math.abs(after.get(i) - before.get(i)))
          .as("seed %d, value %d", seed, i)
          .isLessThan((float) tolerance);
    }
  }

  @Test
  void combineDoesNotDependOnTheOrderOfRows() {
    String query =
        "SELECT token, moe_combine(v, w, expert) AS y FROM %s GROUP BY token ORDER BY token";
    String all =
        """
        SELECT id % 50 AS token, int(id / 50) AS expert, float(id % 7 + 0.1) AS w,
               array(float(id * 0.37), float(1e8 / (id + 1)), float(-id)) AS v
        FROM range(0, 300, 1, 1)\
        """;
    extended.sql(all).createOrReplaceTempView("slots");
    List<Row> expected = extended.sql(query.formatted("slots")).collectAsList();
    List<Row> shuffled =
        extended
            .sql(
                query.formatted(
                    "(SELECT * FROM slots DISTRIBUTE BY expert SORT BY hash(token, expert))"))
            .collectAsList();
    assertThat(expected).hasSize(50);
    assertThat(shuffled).isEqualTo(expected);
    float[] y = new float[6];
    for (int expert = 0; expert < y.length; expert++) {
      int id = expert * 50 + 3;
      y[expert] = (float) (id % 7 + 0.1) * (float) (id * 0.37);
    }
    float sum = (y[0] + y[1]) + (y[2] + y[3]) + (y[4] + y[5]);
    assertThat(expected.get(3).<Float>getList(1).getFirst()).isEqualTo(sum);
  }

  @Test
  void combineRefusesAnExpertThatIsThereTwice() {
    assertThatThrownBy(() -> one("moe_combine(array(1f), 1f, 0) FROM range(2)"))
        .hasStackTraceContaining("expert 0 is there twice in a group; group by the token");
  }

  @Test
  void loadsAreCountedForEveryExpert() {
    Row row =
        one(
            """
            moe_expert_load(e, 4), moe_imbalance(moe_expert_load(e, 4)),
            moe_expert_load(e, 4) FILTER (WHERE e > 9)
            FROM (SELECT int(IF(id % 3 = 0, 2, 0)) AS e FROM range(0, 9, 1, 3))\
            """);
    assertThat(row.<Long>getList(0)).containsExactly(6L, 0L, 3L, 0L);
    assertThat(row.getDouble(1)).isEqualTo(6 * 4 / 9.0);
    assertThat(row.<Long>getList(2)).containsExactly(0L, 0L, 0L, 0L);
    assertThatThrownBy(() -> one("moe_expert_load(int(id), 2) FROM range(3)"))
        .hasStackTraceContaining("expert_id 2 is outside 0 to 1");
  }

  @Test
  void anExpressionThatIsThereTwiceIsComputedOnce() {
    assertThat(
            one("moe_topk(l, 'softmax k=2') = moe_topk(l, 'softmax k=2') FROM"
                    + " (SELECT array(float(id), 1f, 3f) l FROM range(1))")
                .getBoolean(0))
        .isTrue();
  }
}
