package org.sparkmoe.datasets.checkpoint.write;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.checkpoint.LayerTensors;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.quant.weight.WeightError;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.Weight;

/** What is in a written checkpoint. */
final class CheckpointQuantizerTest extends Writing {
  /** Relative errors that no projection of the fixtures exceeds. */
  private static final Map<String, Double> BOUNDS =
      Map.of(
          "fp8-block", 0.04,
          "fp8-channel", 0.04,
          "int8", 0.01,
          "w4a16-g32", 0.11,
          "w4a16-g64", 0.12,
          "w4a16-g128", 0.13,
          "nvfp4", 0.12,
          "mxfp4", 0.16);

  static Stream<Arguments> familiesAndSchemes() {
    return Stream.of(
            "qwen2_moe", "deepseek_v3", "mixtral", "granitemoe", "llama4", "lfm2_moe", "jetmoe")
        .flatMap(
            family ->
                Stream.of("fp8-block", "fp8-channel", "int8", "nvfp4")
                    .map(scheme -> Arguments.of(family, scheme)));
  }

  @ParameterizedTest
  @MethodSource("familiesAndSchemes")
  void expertsAreQuantizedAndAllElseKeepsItsBits(String family, String scheme) {
    Fixtures.copy(family, source);
    if (scheme.equals("nvfp4") && widthIsNoMultiple()) {
      refused(scheme, "is no multiple of", "choose one that fits");
      return;
    }
    Checkpoint checkpoint = Checkpoint.open(source.toString(), CONF);
    Written written = write(scheme);
    Set<String> expected = new HashSet<>();
    for (int index : checkpoint.moeLayers()) {
      MoeLayer layer = checkpoint.layer(index);
      ExpertModules modules = ExpertModules.of(layer);
      expected.addAll(modules.sources());
      try (LayerTensors tensors = layer.open(CONF);
          Arena arena = Arena.ofConfined()) {
        for (int e = 0; e < layer.spec().experts(); e++) {
          compare(written, scheme, modules.routed(e), tensors.expert(e, arena));
        }
        Optional<ExpertWeights> shared = tensors.sharedExpert(arena);
        assertThat(shared.isPresent()).isEqualTo(modules.sharedExpert().isPresent());
        if (shared.isPresent()) {
          compare(written, scheme, modules.sharedExpert().orElseThrow(), shared.get());
        }
      }
    }
    copiesKeepTheirBits(written, expected);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "fp8-block",
        "fp8-channel",
        "int8",
        "w4a16-g32",
        "w4a16-g64",
        "w4a16-g128",
        "nvfp4",
        "mxfp4"
      })
  void everySchemeStoresEveryTypeOfSource(String scheme) throws IOException {
    for (DType dtype : DType.values()) {
      Models.mixtral(source, 256, 128, 0, dtype);
      output = folder.resolve(dtype.name());
      Written written = write(scheme);
      MoeLayer layer = Checkpoint.open(source.toString(), CONF).layer(0);
      try (LayerTensors tensors = layer.open(CONF);
          Arena arena = Arena.ofConfined()) {
        for (int e = 0; e < 2; e++) {
          compare(written, scheme, ExpertModules.of(layer).routed(e), tensors.expert(e, arena));
        }
      }
      String sum = written.quantization().toString();
      assertThat(sum).contains("\"model.layers.0.block_sparse_moe.gate\"");
    }
  }

  private boolean widthIsNoMultiple() {
    Checkpoint checkpoint = Checkpoint.open(source.toString(), CONF);
    return checkpoint.layer(checkpoint.moeLayers().getFirst()).spec().intermediate() % 16 != 0;
  }

  private static void compare(
      Written written, String scheme, ExpertModules.Names names, ExpertWeights expert) {
    compare(written, scheme, names.gate(), expert.w1());
    compare(written, scheme, names.up(), expert.w3().orElseThrow());
    compare(written, scheme, names.down(), expert.w2());
  }

  private static void compare(Written written, String scheme, String module, Weight source) {
    QuantizedMatrix weight = written.weight(module, scheme, source.rows(), source.cols());
    assertThat(weight.defect()).isEmpty();
    WeightError error = WeightError.of((Matrix) source, weight);
    assertThat(error.relative()).as(module).isBetween(1e-4, BOUNDS.get(scheme));
  }

  @Test
  void gptOssKeepsItsOwnLayout() {
    Fixtures.copy("gpt_oss", source);
    Written written = write("mxfp4");
    Checkpoint checkpoint = Checkpoint.open(source.toString(), CONF);
    for (int index : checkpoint.moeLayers()) {
      MoeLayer layer = checkpoint.layer(index);
      int hidden = layer.spec().hidden();
      int width = layer.spec().intermediate();
      int experts = layer.spec().experts();
      String prefix = layer.module() + ".experts.";
      try (LayerTensors tensors = layer.open(CONF);
          Arena arena = Arena.ofConfined()) {
        for (int e = 0; e < experts; e++) {
          ExpertWeights expert = tensors.expert(e, arena);
          QuantizedMatrix both =
              written.block(prefix + "gate_up_proj", experts, e, 2 * width, hidden);
          QuantizedMatrix down = written.block(prefix + "down_proj", experts, e, hidden, width);
          Matrix gateUp = Matrix.of(2 * width, hidden, new float[2 * width * hidden]);
          for (int row = 0; row < width; row++) {
            for (int col = 0; col < hidden; col++) {
              set(gateUp, 2 * row, col, expert.w1().value(row, col));
              set(gateUp, 2 * row + 1, col, expert.w3().orElseThrow().value(row, col));
            }
          }
          assertThat(WeightError.of(gateUp, both).relative()).isBetween(0.05, 0.16);
          assertThat(WeightError.of((Matrix) expert.w2(), down).relative()).isBetween(0.05, 0.16);
        }
      }
    }
    copiesKeepTheirBits(written, expertsOf(checkpoint));
    assertThat(written.quantization().get("quant_method").asText()).isEqualTo("mxfp4");
    assertThat(written.quantization().size()).isEqualTo(2);
    assertThat(written.strings("modules_to_not_convert"))
        .contains("lm_head", "model.layers.0.mlp.router", "model.layers.1.self_attn.q_proj")
        .noneMatch(name -> name.contains("experts"));
  }

  private static void set(Matrix matrix, int row, int col, double value) {
    matrix.dtype().set(matrix.data(), (long) row * matrix.cols() + col, (float) value);
  }

  @Test
  void biasedExpertsHaveOneLayoutOnly() {
    Fixtures.copy("gpt_oss", source);
    refused("fp8-block", "experts with biases", "--scheme mxfp4");
  }

  @Test
  void denseLayersAreListedAsTheyAre() {
    Fixtures.copy("deepseek_v3", source);
    Written written = write("fp8-channel");
    assertThat(written.strings("ignore"))
        .contains(
            "lm_head",
            "model.layers.0.mlp.gate_proj",
            "model.layers.0.mlp.down_proj",
            "model.layers.1.mlp.gate")
        .noneMatch(name -> name.contains("expert"));
    assertThat(written.info("model.layers.0.mlp.up_proj.weight").dtype())
        .isEqualTo(SafetensorsDType.BF16);
  }

  @Test
  void configurationsAreThoseOfRealCheckpoints() {
    Models.mixtral(source, 64, 32, 0, DType.BF16);
    Written block = write("fp8-block");
    assertThat(block.quantization().get("quant_method").asText()).isEqualTo("fp8");
    assertThat(block.quantization().get("activation_scheme").asText()).isEqualTo("dynamic");
    assertThat(block.strings("weight_block_size")).containsExactly("128", "128");
    output = folder.resolve("packed");
    Written packed = write("w4a16-g32");
    assertThat(packed.quantization().get("format").asText()).isEqualTo("pack-quantized");
    var group = packed.quantization().get("config_groups").get("group_0");
    assertThat(group.get("weights"))
        .hasToString(
            "{\"num_bits\":4,\"type\":\"int\",\"strategy\":\"group\",\"symmetric\":true,"
                + "\"dynamic\":false,\"group_size\":32,\"block_structure\":null,"
                + "\"observer\":\"minmax\",\"actorder\":null}");
    assertThat(group.get("input_activations").isNull()).isTrue();
    output = folder.resolve("channel");
    assertThat(write("int8").quantization().at("/config_groups/group_0/input_activations/strategy"))
        .hasToString("\"token\"");
  }

  @Test
  void theRestOfTheConfigurationStays() throws IOException {
    Fixtures.copy("olmoe", source);
    Path config = source.resolve("config.json");
    String text = Files.readString(config);
    Files.writeString(
        config, text.replaceFirst("\\{", "{\"odd\": [Infinity, 1e-06, 10000.0, 12345678901234],"));
    write("int8");
    String written = Files.readString(output.resolve("config.json"));
    assertThat(written).contains("Infinity", "10000.0", "12345678901234", "0.000001");
    assertThat(Checkpoint.open(source.toString(), CONF).family()).isEqualTo("olmoe");
  }

  @Test
  void scalesOf4BitGroupsFollowF16Weights() {
    Models.mixtral(source, 64, 32, 0, DType.F16);
    String scale = "model.layers.0.block_sparse_moe.experts.0.w1.weight_scale";
    assertThat(write("w4a16-g32").info(scale).dtype()).isEqualTo(SafetensorsDType.F16);
    output = folder.resolve("nothing else does");
    assertThat(write("int8").info(scale).dtype()).isEqualTo(SafetensorsDType.F32);
  }

  @Test
  void gateAndUpShareTheirGlobalScale() {
    Fixtures.copy("mixtral", source);
    Written written = write("nvfp4");
    String expert = "model.layers.0.block_sparse_moe.experts.0.";
    assertThat(written.data(expert + "w1.weight_global_scale"))
        .isEqualTo(written.data(expert + "w3.weight_global_scale"))
        .isNotEqualTo(written.data(expert + "w2.weight_global_scale"));
  }

  @Test
  void wholeGroupsOnly() {
    Models.mixtral(source, 64, 32, 0, DType.BF16);
    refused("w4a16-g64", "the expert width 32 is no multiple of 64", "w4a16-g32");
  }

  @Test
  void aQuantizedSourceIsRefused() throws IOException {
    Fixtures.copy("olmoe", source);
    write("int8");
    Path quantized = output;
    output = folder.resolve("again");
    assertThatExceptionOfType(InputException.class)
        .isThrownBy(() -> plan(quantized, "fp8-block", 1 << 20))
        .withMessageContaining("is quantized already")
        .withMessageContaining("int-quantized");
  }

  @Test
  void unknownSchemesAreRefused() {
    for (String name : List.of("", "fp8", "w4a16-g48", "w4a16", "awq\n")) {
      assertThatExceptionOfType(InputException.class)
          .isThrownBy(() -> Scheme.of(name))
          .withMessageContaining("choose fp8-block")
          .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n"));
    }
    assertThat(Scheme.of("FP8-Block").name()).isEqualTo("fp8-block");
  }
}
