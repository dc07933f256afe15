package org.sparkmoe.datasets.checkpoint.write;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.checkpoint.LayerTensors;
import org.sparkmoe.datasets.checkpoint.MemoryFileSystem;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.datasets.checkpoint.SafetensorsWriter;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;
import org.sparkmoe.datasets.safetensors.TensorInfo;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.quant.weight.WeightError;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.Weight;

final class CheckpointQuantizerTest {
  private static final Configuration CONF = new Configuration(false);
  private static final QuantizeListener SILENT = (error, written, total) -> {};

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

  @TempDir Path folder;

  private Path source;
  private Path output;

  @BeforeEach
  void folders() throws IOException {
    source = Files.createDirectory(folder.resolve("source"));
    output = folder.resolve("output");
  }

  private static CheckpointQuantizer plan(Path source, String scheme, long shardBytes) {
    return CheckpointQuantizer.plan(
        Checkpoint.open(source.toString(), CONF), Scheme.of(scheme), shardBytes, CONF);
  }

  private Written write(String scheme) {
    return write(scheme, 1 << 20);
  }

  private Written write(String scheme, long shardBytes) {
    plan(source, scheme, shardBytes).write(output.toString(), false, 3, SILENT);
    assertThat(Written.names(folder)).noneMatch(name -> name.startsWith("."));
    return Written.open(output);
  }

  private void refused(String scheme, String... words) {
    assertThatExceptionOfType(InputException.class)
        .isThrownBy(() -> write(scheme))
        .satisfies(e -> assertThat(e.getMessage()).contains(words).doesNotContain("\n"));
    assertThat(output).doesNotExist();
    assertThat(Written.names(folder)).containsExactly("source");
  }

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
      refused(scheme, "is no multiple of", "choose another");
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
      tiny(256, 128, 0, dtype);
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

  private void copiesKeepTheirBits(Written written, Set<String> replaced) {
    try (SafetensorsFile file = SafetensorsFile.open(source.resolve("model.safetensors"))) {
      for (TensorInfo info : file.tensors().values()) {
        if (!replaced.contains(info.name())) {
          assertThat(written.info(info.name()).typeAndShape()).isEqualTo(info.typeAndShape());
          assertThat(written.data(info.name()))
              .as(info.name())
              .isEqualTo(file.data(info.name()).toArray(ValueLayout.JAVA_BYTE));
        }
      }
      Set<String> dropped = new HashSet<>(replaced);
      // FP8 and INT8 keep the name of a weight that was not fused.
      dropped.removeIf(name -> name.endsWith(".weight"));
      assertThat(written.fileOf()).doesNotContainKeys(dropped.toArray(String[]::new));
    }
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
  void shardsHoldWhatTheIndexSays() {
    Fixtures.copy("qwen2_moe", source);
    long limit = 40_000;
    Written written = write("fp8-block", limit);
    List<String> shards = Written.shards(output);
    assertThat(shards).hasSizeGreaterThan(5);
    for (int i = 0; i < shards.size(); i++) {
      assertThat(shards.get(i))
          .isEqualTo("model-%05d-of-%05d.safetensors".formatted(i + 1, shards.size()));
    }
    for (SafetensorsFile file : new HashSet<>(written.fileOf().values())) {
      Set<String> experts = new HashSet<>();
      long bytes = 0;
      for (TensorInfo info : file.tensors().values()) {
        bytes += info.bytes();
        experts.add(info.name().replaceAll("(?<=(experts\\.\\d{1,2}|shared_expert)\\.).*", ""));
      }
      assertThat(bytes <= limit || experts.size() == 1).as("%s", experts).isTrue();
    }
    assertThat(plan(source, "fp8-block", limit).shards()).isEqualTo(shards.size());
  }

  @Test
  void bytesDoNotDependOnThreads() throws IOException {
    Fixtures.copy("olmoe", source);
    plan(source, "nvfp4", 100_000).write(output.toString(), false, 1, SILENT);
    Path other = folder.resolve("other");
    plan(source, "nvfp4", 100_000).write(other.toString(), false, 5, SILENT);
    assertThat(Written.names(other)).isEqualTo(Written.names(output)).hasSizeGreaterThan(4);
    for (String name : Written.names(output)) {
      assertThat(other.resolve(name)).hasSameBinaryContentAs(output.resolve(name));
    }
  }

  @Test
  void everyErrorIsTold() {
    Fixtures.copy("qwen2_moe", source);
    Map<String, TensorError> errors = new TreeMap<>();
    List<Long> progress = new ArrayList<>();
    CheckpointQuantizer quantizer = plan(source, "int8", 1 << 20);
    quantizer.write(
        output.toString(),
        false,
        2,
        (error, written, total) -> {
          assertThat(errors.put(error.weight(), error)).isNull();
          assertThat(total).isEqualTo(quantizer.bytes());
          progress.add(written);
        });
    MoeLayer layer = Checkpoint.open(source.toString(), CONF).layer(0);
    int perLayer = 3 * (layer.spec().experts() + 1);
    assertThat(errors).hasSize(2 * perLayer);
    assertThat(progress).isSorted().last().isNotEqualTo(0L);
    TensorError shared = errors.get("model.layers.1.mlp.shared_expert.down_proj");
    assertThat(shared.projection()).isEqualTo("shared down");
    assertThat(shared.layer()).isEqualTo(1);
    assertThat(shared.rows()).isEqualTo(layer.spec().hidden());
    assertThat(shared.error().relative()).isBetween(1e-4, 0.01);
    assertThat(shared.error().largest()).isBetween(1e-6, 0.1);
    assertThat(quantizer.bytes()).isLessThan(quantizer.sourceBytes());
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
    tiny(64, 32, 0, DType.BF16);
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
  void otherFilesComeAlong() throws IOException {
    Fixtures.copy("olmoe", source);
    for (String name :
        List.of(
            "tokenizer.json",
            "generation_config.json",
            "LICENSE",
            ".hidden",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "extra.safetensors")) {
      Files.writeString(source.resolve(name), name);
    }
    Files.createDirectory(source.resolve("original"));
    write("int8");
    assertThat(Written.names(output))
        .containsExactly(
            "LICENSE",
            "config.json",
            "generation_config.json",
            "model-00001-of-00001.safetensors",
            "model.safetensors.index.json",
            "tokenizer.json");
    assertThat(output.resolve("tokenizer.json")).hasContent("tokenizer.json");
  }

  @Test
  void aWeightThatIsNotFiniteIsNamedAndNothingIsLeft() {
    tiny(64, 32, Float.NaN, DType.F32);
    refused("fp8-block", "model.layers.0.block_sparse_moe.experts.1.w2", "NaN");
  }

  @Test
  void aCrashLeavesNothing() {
    Fixtures.copy("olmoe", source);
    assertThatExceptionOfType(IllegalStateException.class)
        .isThrownBy(
            () ->
                plan(source, "int8", 60_000)
                    .write(
                        output.toString(),
                        false,
                        2,
                        (error, written, total) -> {
                          if (written > total / 2) {
                            throw new IllegalStateException("pulled the plug");
                          }
                        }))
        .withMessage("pulled the plug");
    assertThat(Written.names(folder)).containsExactly("source");
  }

  /** A Mixtral of one layer, two experts, and {@code last} as the last weight. */
  private void tiny(int hidden, int width, float last, DType dtype) {
    Random random = new Random(5);
    SafetensorsWriter writer = new SafetensorsWriter();
    String module = "model.layers.0.block_sparse_moe.";
    writer.addFloats(module + "gate.weight", dtype, new float[2 * hidden], 2, hidden);
    for (int e = 0; e < 2; e++) {
      for (String name : List.of("w1", "w3", "w2")) {
        float[] values = new float[width * hidden];
        for (int i = 0; i < values.length; i++) {
          values[i] = (float) random.nextGaussian() * 0.02f;
        }
        boolean down = name.equals("w2");
        if (e == 1 && down) {
          values[values.length - 1] = last;
        }
        writer.addFloats(
            module + "experts." + e + "." + name + ".weight",
            dtype,
            values,
            down ? hidden : width,
            down ? width : hidden);
      }
    }
    writer.write(source.resolve("model.safetensors"));
    write(
        source.resolve("config.json"),
        """
        {"model_type":"mixtral","hidden_size":%d,"intermediate_size":%d,"num_local_experts":2,
         "num_experts_per_tok":2,"num_hidden_layers":1,"hidden_act":"silu"}\
        """
            .formatted(hidden, width));
  }

  private static void write(Path file, String text) {
    try {
      Files.writeString(file, text);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void scalesOf4BitGroupsFollowF16Weights() {
    tiny(64, 32, 0, DType.F16);
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
    tiny(64, 32, 0, DType.BF16);
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

  private void write(Path to, boolean overwrite) {
    plan(source, "int8", 1 << 20).write(to.toString(), overwrite, 1, SILENT);
  }

  private void refusedOutput(Path to, boolean overwrite, String... words) {
    assertThatExceptionOfType(InputException.class)
        .isThrownBy(() -> write(to, overwrite))
        .satisfies(e -> assertThat(e.getMessage()).contains(words).doesNotContain("\n"));
  }

  @Test
  void whatIsThereIsKeptUnlessItIsACheckpoint() throws IOException {
    Fixtures.copy("olmoe", source);
    Path photos = Files.createDirectory(folder.resolve("photos"));
    Files.writeString(photos.resolve("one.jpg"), "precious");
    Path link = Files.createSymbolicLink(folder.resolve("link"), source);
    refusedOutput(photos, false, "exists", "--overwrite");
    refusedOutput(photos, true, "is no sharded checkpoint", "name another");
    refusedOutput(photos.resolve("one.jpg"), true, "is a file");
    refusedOutput(source, true, "holds the model itself");
    refusedOutput(link, true, "holds the model itself");
    refusedOutput(folder, true, "holds the model itself");
    refusedOutput(Path.of("/"), true, "has no parent folder");
    write(output, false);
    refusedOutput(output, false, "exists", "--overwrite");
    Files.writeString(output.resolve("stale"), "");
    write(output, true);
    Written.open(output);
    assertThat(output.resolve("stale")).doesNotExist();
    Path empty = Files.createDirectory(folder.resolve("empty"));
    write(empty, false);
    Written.open(empty);
    assertThat(Written.names(folder))
        .containsExactly("empty", "link", "output", "photos", "source");
    assertThat(photos.resolve("one.jpg")).hasContent("precious");
  }

  @Test
  void anyFileSystemServesBothSides() {
    Fixtures.copy("olmoe", source);
    Configuration conf = MemoryFileSystem.conf(folder.resolve("cache"));
    Checkpoint checkpoint = Checkpoint.open("mem:" + source, conf);
    String uri =
        CheckpointQuantizer.plan(checkpoint, Scheme.of("fp8-channel"), 50_000, conf)
            .write("mem:" + output, false, 2, SILENT);
    assertThat(uri).isEqualTo("mem:" + output);
    copiesKeepTheirBits(Written.open(output), expertsOf(checkpoint));
  }

  private static Set<String> expertsOf(Checkpoint checkpoint) {
    Set<String> names = new HashSet<>();
    checkpoint
        .moeLayers()
        .forEach(n -> names.addAll(ExpertModules.of(checkpoint.layer(n)).sources()));
    return names;
  }
}
