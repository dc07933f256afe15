package org.sparkmoe.job.ml;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.ml.Pipeline;
import org.apache.spark.ml.PipelineModel;
import org.apache.spark.ml.PipelineStage;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.job.api.Moe;

/** The layer as a stage: saved, read and run again. */
@ExtendWith(LocalSpark.class)
final class MoeLayerTransformerTest {
  private static final Fixtures.Block BLOCK =
      Fixtures.blocks().stream()
          .filter(block -> block.family().equals("olmoe"))
          .findFirst()
          .orElseThrow();

  @TempDir private Path folder;

  private static MoeLayerTransformer stage() {
    return new MoeLayerTransformer()
        .setModel(Fixtures.folder(BLOCK.family()).toString())
        .setLayer(BLOCK.layer())
        .setBackend("vector");
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

  private static List<String> types(StructType schema) {
    return Arrays.stream(schema.fields())
        .map(field -> field.name() + " " + field.dataType().sql())
        .toList();
  }

  @Test
  void aPipelineThatWasSavedGivesTheSameBytes(SparkSession spark) throws Exception {
    Dataset<Row> tokens = tokens(spark);
    PipelineModel model =
        new Pipeline()
            .setStages(
                new PipelineStage[] {
                  stage(),
                  stage()
                      .setInputCol("output")
                      .setOutputCol("twice")
                      .setErrorCol("second_error")
                      .setDispatch("replicated")
                })
            .fit(tokens);
    Dataset<Row> made = model.transform(tokens);
    assertThat(types(made.schema())).isEqualTo(types(model.transformSchema(tokens.schema())));
    assertThat(made.columns())
        .containsExactly("token_id", "hidden", "output", "error", "twice", "second_error");
    List<Row> expected = made.orderBy("token_id").collectAsList();

    model.write().save(folder.resolve("pipeline").toString());
    PipelineModel again = PipelineModel.load(folder.resolve("pipeline").toString());
    List<Row> actual = again.transform(tokens).orderBy("token_id").collectAsList();
    assertThat(actual).hasSameSizeAs(expected).isNotEmpty();
    for (int i = 0; i < actual.size(); i++) {
      for (String column : List.of("hidden", "output", "twice")) {
        assertThat(actual.get(i).<byte[]>getAs(column))
            .as("%s of row %d", column, i)
            .isEqualTo(expected.get(i).<byte[]>getAs(column));
      }
    }
    Row first =
        Moe.layer(Fixtures.folder(BLOCK.family()).toString(), BLOCK.layer())
            .backend("vector")
            .transform(tokens)
            .orderBy("token_id")
            .first();
    assertThat(first.<byte[]>getAs("output"))
        .isEqualTo(expected.getFirst().<byte[]>getAs("output"));
  }

  @Test
  void copiesKeepTheirParameters() {
    MoeLayerTransformer stage = stage().setOutputCol("y");
    MoeLayerTransformer copy = stage.copy(new ParamMap().put(stage.inputCol(), "x"));
    assertThat(copy.uid()).isEqualTo(stage.uid());
    assertThat(copy.extractParamMap().get(copy.outputCol()).get()).isEqualTo("y");
    assertThat(copy.extractParamMap().get(copy.inputCol()).get()).isEqualTo("x");
    assertThat(stage.extractParamMap().get(stage.inputCol()).get()).isEqualTo("hidden");
  }

  @Test
  void schemasAreCheckedBeforeAnythingRuns(SparkSession spark) {
    Dataset<Row> tokens = tokens(spark);
    assertThatThrownBy(() -> stage().setInputCol("h").transformSchema(tokens.schema()))
        .isInstanceOf(InputException.class)
        .hasMessage("there is no column h; columns are token_id, hidden");
    assertThatThrownBy(() -> stage().setInputCol("token_id").transformSchema(tokens.schema()))
        .hasMessage("column token_id is BIGINT; use ARRAY<FLOAT>, ARRAY<DOUBLE> or BINARY");
    assertThatThrownBy(() -> stage().setOutputCol("Hidden").transformSchema(tokens.schema()))
        .hasMessage("there is a column Hidden already; name another with outputCol");
    assertThatThrownBy(() -> new MoeLayerTransformer("m").setModel("x").transform(tokens))
        .hasMessage("parameter layer of m is not set");
  }
}
