package org.sparkmoe.datasets.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.arrow.HiddenMetadata;
import org.sparkmoe.datasets.arrow.ReadOptions;
import org.sparkmoe.datasets.tokens.LocalSpark;

@ExtendWith(LocalSpark.class)
final class TensorSourceTest {
  private static final int WIDTH = 6;

  private final SparkSession spark;
  @TempDir Path folder;

  TensorSourceTest(SparkSession spark) {
    this.spark = spark;
  }

  @BeforeEach
  void write() {
    TensorFixture.write(
        folder.resolve("t.safetensors"),
        TensorFixture.counting("layer.f32", "F32", 4, 2, 500, WIDTH),
        TensorFixture.counting("layer.bf16", "BF16", 2, 1000, WIDTH),
        TensorFixture.counting("layer.f16", "F16", 2, 10, 2, 50, WIDTH),
        TensorFixture.counting("vector", "F32", 4, WIDTH),
        TensorFixture.counting("none", "F32", 4, 0, WIDTH),
        TensorFixture.counting("flat", "F32", 4, 3, 0),
        TensorFixture.counting("codes", "I64", 8, 3, WIDTH),
        TensorFixture.counting("scalar", "F32", 4));
  }

  @ParameterizedTest
  @CsvSource({"f32, 4, 1g", "f32, 4, 500", "bf16, 2, 1k", "f16, 2, 300"})
  void readsEveryRowOnce(String dtype, int bytes, String maxPartition) {
    byte[] data = TensorFixture.counting("", dtype, bytes, 1000, WIDTH).data();

    Dataset<Row> read =
        spark
            .read()
            .format(TensorSource.NAME)
            .option(ReadOptions.MAX_PARTITION_BYTES, maxPartition)
            .load(tensor("layer." + dtype));
    List<Row> rows = read.orderBy("token_id").collectAsList();

    assertThat(rows).hasSize(1000);
    int rowBytes = WIDTH * bytes;
    for (int row = 0; row < rows.size(); row++) {
      assertThat(rows.get(row).getLong(0)).isEqualTo(row);
      assertThat((byte[]) rows.get(row).get(1))
          .isEqualTo(Arrays.copyOfRange(data, row * rowBytes, row * rowBytes + rowBytes));
    }
    var metadata = read.schema().apply("hidden").metadata();
    assertThat(metadata.getString(HiddenMetadata.DTYPE)).isEqualTo(dtype);
    assertThat(metadata.getLong(HiddenMetadata.WIDTH)).isEqualTo(WIDTH);
  }

  @Test
  void readsLargeTensorsInBatches() {
    int width = 3 << 18;
    TensorFixture.write(
        folder.resolve("large.safetensors"), TensorFixture.counting("h", "F32", 4, 7, width));
    byte[] data = TensorFixture.counting("", "F32", 4, 7, width).data();

    List<Row> rows = load(folder + "/large.safetensors#h").orderBy("token_id").collectAsList();

    for (int row = 0; row < 7; row++) {
      assertThat((byte[]) rows.get(row).get(1))
          .isEqualTo(Arrays.copyOfRange(data, row * width * 4, (row + 1) * width * 4));
    }
  }

  @Test
  void aVectorIsOneRowAndAnEmptyTensorNone() {
    assertThat(load(tensor("vector")).count()).isEqualTo(1);
    assertThat(load(tensor("none")).collectAsList()).isEmpty();
  }

  @Test
  void plansColumnsAndReadsOnlyThoseNeeded() {
    Dataset<Row> ids = load(tensor("layer.f32")).select("token_id").where("token_id % 2 = 1");
    String plan = ids.queryExecution().executedPlan().toString();

    assertThat(plan.indexOf("ColumnarToRow")).isBetween(0, plan.indexOf("BatchScan"));
    assertThat(plan).doesNotContain("hidden");
    assertThat(ids.count()).isEqualTo(500);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          t.safetensors#layer.f23 | no tensor "layer.f23"
          t.safetensors#layer.f23 | nearest of its 8: "layer.f16", "layer.f32"
          t.safetensors           | no tensor without a name; write
          t.safetensors#scalar    | F32 [], a scalar
          t.safetensors#codes     | I64 [3, 6], token activations are F32, BF16 or F16
          t.safetensors#flat      | rows of 0 elements
          no.safetensors#x        | no.safetensors does not exist
          """)
  void refusesWhatIsNoTokenTable(String path, String message) {
    assertThatThrownBy(() -> load(folder + "/" + path))
        .isInstanceOf(InputException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }

  @Test
  void namesTheOnlyTensor() {
    Path file = folder.resolve("only.safetensors");
    TensorFixture.write(file, TensorFixture.counting("x", "F32", 4, 3, 32));

    assertThatThrownBy(() -> load(file + "#X"))
        .isInstanceOf(InputException.class)
        .hasMessageEndingWith("its only tensor is \"x\": write " + file + "#x");
  }

  @Test
  void refusesAFolder() {
    assertThatThrownBy(() -> load(folder + "#x"))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("is a folder");
  }

  private String tensor(String name) {
    return folder + "/t.safetensors#" + name;
  }

  private Dataset<Row> load(String path) {
    return spark.read().format(TensorSource.NAME).load(path);
  }
}
