package org.sparkmoe.job.run;

import static org.apache.spark.sql.functions.lit;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.SortedMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.datasets.checkpoint.SafetensorsWriter;
import org.sparkmoe.datasets.checkpoint.Schemes;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.JobRequest.ActivationQuant;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.job.run.Runs.Way;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.quant.LayerSchemes;
import org.sparkmoe.kernels.quant.ScaledScheme;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.udfs.tokens.Vectors;

/** Quantized activations through the whole job, with schemes that checkpoints may ask for. */
@ExtendWith(LocalSpark.class)
final class ActivationQuantTest {
  private static final int WIDE = 1024;

  private static final ScaledScheme DYNAMIC =
      ScaledScheme.dynamic(ActivationScheme.fp8(Granularity.TENSOR));

  private static final ScaledScheme TOKEN =
      ScaledScheme.dynamic(ActivationScheme.fp8(Granularity.TOKEN));

  @TempDir private Path folder;

  /** With weights on the input beside a shared expert, and with a gated one. */
  @ParameterizedTest
  @ValueSource(strings = {"llama4", "qwen2_moe"})
  void oneScaleIsForAllTokensInEveryWay(String family, SparkSession spark) throws IOException {
    Fixtures.Block block =
        Fixtures.blocks().stream().filter(b -> b.family().equals(family)).toList().getLast();
    MoeLayer layer = dynamic(block);
    Path input = folder.resolve("tokens");
    Runs.input(spark, block).repartition(3).write().parquet(input.toString());
    SortedMap<Long, byte[]> first = null;
    JsonNode firstQuantization = null;
    for (int lanes : new int[] {0, 1, 5}) {
      Path output = folder.resolve("run " + lanes);
      TokenOptions tokens = TokenOptions.of(input.toString());
      JobRequest request = Runs.request(block, tokens, output, new Way(Backend.SCALAR, lanes));
      RunSummary summary = Runs.run(spark, Planner.of(request, layer, spark.sparkContext()));
      assertThat(summary.stages().stream().map(StageFigures::stage)).contains(Stage.MEASURE);
      SortedMap<Long, byte[]> outputs = Runs.outputs(spark, output);
      first = first == null ? outputs : first;
      assertSame(outputs, first, lanes + " lanes");
      JsonNode quantization = manifest(output).get("quantization");
      firstQuantization = firstQuantization == null ? quantization : firstQuantization;
      assertThat(quantization).isEqualTo(firstQuantization);
      for (String part : List.of("input", "inner", "shared_input", "shared_inner")) {
        assertThat(quantization.get(part).get("scheme").asText()).isEqualTo("e4m3 per tensor");
        assertThat(quantization.get(part).get("tensor_scale").floatValue()).isPositive();
        assertThat(quantization.get(part).get("tensor_scale_of").asText()).isEqualTo("all tokens");
      }
    }
  }

  @Test
  void aTableOfBadRowsNeedsNoScale(SparkSession spark) {
    Path input = folder.resolve("tokens");
    Fixtures.Block block = Fixtures.blocks().getLast();
    Runs.input(spark, block)
        .withColumn("hidden", lit(null).cast("binary"))
        .write()
        .parquet(input.toString());
    MoeLayer layer = dynamic(block);
    for (int lanes : new int[] {0, 5}) {
      Path output = folder.resolve("run " + lanes);
      TokenOptions tokens = TokenOptions.of(input.toString());
      JobRequest request = Runs.request(block, tokens, output, new Way(Backend.SCALAR, lanes));
      RunSummary summary = Runs.run(spark, Planner.of(request, layer, spark.sparkContext()));
      assertThat(summary.tokens()).isZero();
      assertThat(summary.errors()).isPositive();
      assertThat(summary.codecs().inner().tensorScale()).isPositive();
    }
  }

  private static MoeLayer dynamic(Fixtures.Block block) {
    return Schemes.of(
        Checkpoint.open(Fixtures.folder(block.family()).toString(), new Configuration(false))
            .layer(block.layer()),
        new LayerSchemes(DYNAMIC, DYNAMIC, DYNAMIC, DYNAMIC));
  }

  /** Wide tokens, so that what stands beside the codes is small. */
  @Test
  void fp8DispatchTakesLittleMoreThanAQuarter(SparkSession spark) throws IOException {
    RandomTensors random = new RandomTensors(97);
    MoeLayer layer = wide(random);
    Path input = folder.resolve("tokens");
    table(spark, 60, random).write().parquet(input.toString());
    RunSummary codes = run(spark, layer, input, folder.resolve("auto"), ActivationQuant.AUTO, 3);
    RunSummary plain = run(spark, layer, input, folder.resolve("none"), ActivationQuant.NONE, 3);
    assertThat((double) plain.dispatchBytes() / codes.dispatchBytes())
        .as("%s", random)
        .isGreaterThan(3.5);
    assertThat(codes.dispatchBytesInF32()).isCloseTo(plain.dispatchBytes(), withinPercentage(3));
    assertThat(plain.dispatchBytesInF32()).isEqualTo(plain.dispatchBytes());
    assertThat(codes.sent()).isEqualTo(plain.sent()).isBetween(61L, 119L);
    assertThat(codes.stages().stream().map(StageFigures::stage)).doesNotContain(Stage.MEASURE);
    JsonNode dispatch = manifest(folder.resolve("auto")).get("dispatch");
    assertThat(dispatch.get("token_bytes").asInt()).isEqualTo(WIDE + 4);
    assertThat(dispatch.get("token_bytes_f32").asInt()).isEqualTo(4 * WIDE);
    assertThat(dispatch.get("tokens_sent").asLong()).isEqualTo(codes.sent());
    assertThat(dispatch.get("shuffle_bytes").asLong()).isEqualTo(codes.dispatchBytes());
    assertThat(dispatch.get("shuffle_bytes_f32").asLong()).isEqualTo(codes.dispatchBytesInF32());
  }

  @Test
  void noneLeavesActivationsAlone(SparkSession spark) throws IOException {
    RandomTensors random = new RandomTensors(98);
    MoeLayer asks = wide(random);
    MoeLayer plain = Schemes.of(asks, LayerSchemes.NONE);
    Path input = folder.resolve("tokens");
    table(spark, 7, random).write().parquet(input.toString());
    run(spark, asks, input, folder.resolve("none"), ActivationQuant.NONE, 2);
    run(spark, plain, input, folder.resolve("plain"), ActivationQuant.AUTO, 2);
    run(spark, asks, input, folder.resolve("auto"), ActivationQuant.AUTO, 2);
    SortedMap<Long, byte[]> none = Runs.outputs(spark, folder.resolve("none"));
    assertSame(none, Runs.outputs(spark, folder.resolve("plain")), "without");
    SortedMap<Long, byte[]> quantized = Runs.outputs(spark, folder.resolve("auto"));
    none.forEach((id, output) -> assertThat(quantized.get(id)).isNotEqualTo(output));
    assertThat(manifest(folder.resolve("none")).get("options").get("activation-quant").asText())
        .isEqualTo("none");
  }

  private static RunSummary run(
      SparkSession spark,
      MoeLayer layer,
      Path input,
      Path output,
      ActivationQuant quant,
      int lanes) {
    JobRequest request =
        Runs.request(
            Path.of(layer.checkpoint().replaceFirst("^file:", "")),
            0,
            TokenOptions.of(input.toString()),
            output,
            new Way(Backend.SCALAR, lanes),
            quant,
            OptionalLong.empty());
    return Runs.run(spark, Planner.of(request, layer, spark.sparkContext()));
  }

  /** A Mixtral of one layer whose activations are FP8 per token. */
  private MoeLayer wide(RandomTensors random) throws IOException {
    Path model = Files.createDirectories(folder.resolve("model"));
    Files.writeString(
        model.resolve("config.json"),
        """
        {"model_type":"mixtral","hidden_size":%d,"intermediate_size":4,"num_local_experts":6,
         "num_experts_per_tok":2,"num_hidden_layers":1,"hidden_act":"silu"}
        """
            .formatted(WIDE));
    String module = "model.layers.0.block_sparse_moe.";
    SafetensorsWriter writer = new SafetensorsWriter();
    writer.addFloats(module + "gate.weight", random.normals(6 * WIDE, 0.1), 6, WIDE);
    for (int e = 0; e < 6; e++) {
      String expert = module + "experts." + e + ".";
      writer
          .addFloats(expert + "w1.weight", random.normals(4 * WIDE, 0.1), 4, WIDE)
          .addFloats(expert + "w3.weight", random.normals(4 * WIDE, 0.1), 4, WIDE)
          .addFloats(expert + "w2.weight", random.normals(4 * WIDE, 0.1), WIDE, 4);
    }
    writer.write(model.resolve("model.safetensors"));
    return Schemes.of(
        Checkpoint.open(model.toString(), new Configuration(false)).layer(0),
        new LayerSchemes(TOKEN, TOKEN, ScaledScheme.NONE, ScaledScheme.NONE));
  }

  private static Dataset<Row> table(SparkSession spark, int tokens, RandomTensors random) {
    List<Row> rows = new ArrayList<>();
    for (long id = 0; id < tokens; id++) {
      rows.add(RowFactory.create(id, Vectors.encode(random.normals(WIDE, 1), 0, WIDE)));
    }
    return spark.createDataFrame(
        rows,
        new StructType().add("token_id", DataTypes.LongType).add("hidden", DataTypes.BinaryType));
  }

  private static JsonNode manifest(Path run) throws IOException {
    return new ObjectMapper().readTree(run.resolve(RunDirectory.MANIFEST).toFile());
  }

  private static void assertSame(
      SortedMap<Long, byte[]> actual, SortedMap<Long, byte[]> expected, String context) {
    assertThat(actual.keySet()).as(context).isEqualTo(expected.keySet());
    actual.forEach(
        (token, output) ->
            assertThat(output).as("%s, token %d", context, token).isEqualTo(expected.get(token)));
  }
}
