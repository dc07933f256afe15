package org.sparkmoe.job.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.checkpoint.ReferenceRoutes;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.kernels.testing.Rows;
import org.sparkmoe.udfs.sql.MoeFunctionCatalog;
import org.sparkmoe.udfs.tokens.Vectors;

/** The layer as a function of datasets, against transformers and against itself. */
@ExtendWith(LocalSpark.class)
final class MoeTest {
  private static final Fixtures.Block BLOCK =
      Fixtures.blocks().stream()
          .filter(block -> block.family().equals("qwen2_moe"))
          .findFirst()
          .orElseThrow();

  private static LayerTransform layer() {
    return Moe.layer(Fixtures.folder(BLOCK.family()).toString(), BLOCK.layer()).backend("vector");
  }

  private static Dataset<Row> tokens(SparkSession spark) {
    return spark
        .read()
        .format("moe-safetensors")
        .load(
            "%s#%s.input"
                .formatted(
                    Fixtures.folder(BLOCK.family()).resolve("reference.safetensors"),
                    BLOCK.module()));
  }

  private static SortedMap<Long, byte[]> collect(Dataset<Row> outputs) {
    SortedMap<Long, byte[]> byId = new TreeMap<>();
    for (Row row : outputs.select("token_id", "output", "error").collectAsList()) {
      assertThat(row.isNullAt(2)).as("error of token %d", row.getLong(0)).isTrue();
      byId.put(row.getLong(0), row.getAs(1));
    }
    return byId;
  }

  @Test
  void everyWayGivesTheBytesOfTheOthers(SparkSession spark) {
    Dataset<Row> tokens = tokens(spark);
    SortedMap<Long, byte[]> expected = collect(layer().dispatch("replicated").transform(tokens));
    float[] all = new float[expected.size() * 64];
    expected.forEach(
        (id, output) ->
            System.arraycopy(Vectors.floats(output), 0, all, Math.toIntExact(id * 64), 64));
    try (SafetensorsFile reference = Fixtures.reference(BLOCK.family())) {
      Rows.assertClose(
          all, ReferenceRoutes.floats(reference, BLOCK.module() + ".output"), 64, 2e-5, "outputs");
    }
    for (LayerTransform way :
        List.of(
            layer(),
            layer().dispatch("ep").lanes(3),
            layer().dispatch("EP").lanes(5).placement("round-robin").uniqueTokenIds())) {
      SortedMap<Long, byte[]> outputs = collect(way.transform(tokens));
      assertThat(outputs.keySet()).isEqualTo(expected.keySet());
      outputs.forEach((id, output) -> assertThat(output).isEqualTo(expected.get(id)));
    }
  }

  @Test
  void badRowsAndKeptColumnsStay(SparkSession spark) {
    Dataset<Row> tokens =
        spark
            .createDataFrame(tokens(spark).limit(6).javaRDD(), tokens(spark).schema())
            .selectExpr(
                "IF(token_id = 5, 4, token_id) AS id",
                "moe.decode(IF(token_id = 2, NULL, hidden), 'f32') AS `h.x`",
                "token_id % 2 AS odd");
    LayerTransform layer = layer().columns("id", "h.x").keepColumns("odd").dispatch("ep").lanes(2);
    List<Row> rows =
        layer.placement("linear").transform(tokens).orderBy("token_id", "odd").collectAsList();
    assertThat(rows).hasSize(6);
    assertThat(rows.stream().map(row -> String.valueOf(row.get(2))).toList())
        .containsExactly(
            "null",
            "null",
            "hidden is null",
            "null",
            "token_id is not unique",
            "token_id is not unique");
    assertThat(rows.get(3).<Float>getList(1)).hasSize(64);
    assertThat(rows.get(3).getLong(3)).isEqualTo(1);
    assertThat(
            layer
                .placement("balanced")
                .transform(tokens)
                .orderBy("token_id", "odd")
                .collectAsList())
        .isEqualTo(rows);
  }

  @Test
  void theSqlGateRoutesAsTheLayerDoes(SparkSession spark) {
    MoeFunctionCatalog.register(spark);
    LayerTransform onAuto = Moe.layer(Fixtures.folder(BLOCK.family()).toString(), BLOCK.layer());
    List<Row> expected =
        onAuto.routes(tokens(spark)).orderBy("token_id", "topk_slot").collectAsList();
    String model = Fixtures.folder(BLOCK.family()).toString();
    for (String hidden : List.of("hidden", "moe.decode(hidden, 'f32')")) {
      List<Row> actual =
          tokens(spark)
              .selectExpr(
                  "token_id",
                  "posexplode(moe.gate(%s, '%s', %d)) AS (topk_slot, route)"
                      .formatted(hidden, model, BLOCK.layer()))
              .selectExpr("token_id", "topk_slot", "route.expert_id", "route.topk_weight")
              .orderBy("token_id", "topk_slot")
              .collectAsList();
      assertThat(actual).hasSize(240).isEqualTo(expected);
    }
    assertThatThrownBy(
            () ->
                spark
                    .sql("SELECT moe.gate(array(1f), '%s', %d)".formatted(model, BLOCK.layer()))
                    .collectAsList())
        .hasStackTraceContaining("hidden has 1 values, the layer takes 64");
  }

  @Test
  void blocksUnpackToTheRoutes(SparkSession spark) {
    Dataset<Row> tokens = tokens(spark);
    List<Row> unpacked =
        layer()
            .lanes(3)
            .blocks(tokens)
            .selectExpr(
                "inline(moe.unpack(token_ids, slot_offsets, topk_slots, expert_ids, topk_weights,"
                    + " codes, scales))")
            .selectExpr(
                "token_id", "codes", "inline(arrays_zip(topk_slots, expert_ids, topk_weights))")
            .selectExpr("token_id", "topk_slots", "expert_ids", "topk_weights")
            .orderBy("token_id", "topk_slots")
            .collectAsList();
    assertThat(unpacked)
        .isEqualTo(layer().routes(tokens).orderBy("token_id", "topk_slot").collectAsList());
  }

  @ParameterizedTest
  @ValueSource(strings = {"lanes", "dispatch", "column", "width", "backend"})
  void whatCannotBeIsRefusedInOneLine(String what, SparkSession spark) {
    Dataset<Row> tokens = tokens(spark);
    assertThatThrownBy(
            () -> {
              switch (what) {
                case "lanes" -> layer().lanes(99).transform(tokens);
                case "dispatch" -> layer().dispatch("all").transform(tokens);
                case "column" -> layer().columns("token_id", "h").transform(tokens);
                case "width" -> layer().hiddenDtype("bf16").transform(tokens);
                default -> layer().backend("abacus").transform(tokens);
              }
            })
        .isInstanceOf(InputException.class)
        .satisfies(error -> assertThat(error.getMessage().lines().count()).isEqualTo(1))
        .message()
        .containsAnyOf(
            "--lanes 99 is outside 1 to 12",
            "dispatch all is unknown; choose ep, replicated",
            "the dataset has no hidden column \"h\"; its columns are \"token_id\", \"hidden\"",
            "hidden states in the dataset have 128 elements, the layer takes 64",
            "unknown backend 'abacus'");
    assertThat(Arrays.asList(tokens.columns())).containsExactly("token_id", "hidden");
  }
}
