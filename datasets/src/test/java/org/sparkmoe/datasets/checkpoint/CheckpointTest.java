package org.sparkmoe.datasets.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;

/** What opening a checkpoint refuses, and the value it gives otherwise. */
final class CheckpointTest {
  private static final String BLOCK = "model.layers.0.block_sparse_moe";

  @TempDir Path folder;

  @Test
  void acceptsAFileUri() {
    Path fixture = Fixtures.folder("mixtral");
    Checkpoint checkpoint = Checkpoint.open("file://" + fixture, Synthetic.CONF);
    assertThat(checkpoint.uri()).startsWith("file:/").endsWith("mixtral");
    assertThat(checkpoint.layer(0)).isEqualTo(Synthetic.open(fixture).layer(0));
    assertThat(checkpoint.layer(0)).isNotEqualTo(checkpoint.layer(1));
  }

  @Test
  void survivesSerialization() throws IOException, ClassNotFoundException {
    MoeLayer layer = Synthetic.open(Fixtures.folder("gpt_oss")).layer(1);
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      out.writeObject(layer);
    }
    try (ObjectInputStream in =
            new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()));
        LayerTensors tensors = ((MoeLayer) in.readObject()).open(Synthetic.CONF)) {
      assertThat(tensors.expert(7, Arena.ofAuto()).intermediate()).isEqualTo(96);
      assertThatExceptionOfType(IndexOutOfBoundsException.class)
          .isThrownBy(() -> tensors.expert(8, Arena.ofAuto()));
    }
  }

  @Test
  void namesTheLayersThatHaveExperts() {
    Checkpoint checkpoint = Synthetic.open(Fixtures.folder("deepseek_v3"));
    assertThat(checkpoint.layers())
        .containsEntry(0, LayerKind.DENSE)
        .containsEntry(1, LayerKind.MOE);
    assertRefused(() -> checkpoint.layer(0), "layer 0 is dense; layers with experts are 1");
    assertRefused(() -> checkpoint.layer(-1), "layer -1 does not exist, the model has layers 0-1");
    assertRefused(() -> checkpoint.layer(7), "layer 7 does not exist");
  }

  @Test
  void skipsLayersForMultiTokenPrediction() {
    Synthetic.config(folder, Synthetic.MIXTRAL);
    write(mixtral(4).addRandom("model.layers.1.mlp.gate.weight", 3, 6));
    Checkpoint checkpoint = Synthetic.open(folder);
    assertThat(checkpoint.layers()).containsEntry(1, LayerKind.MTP);
    assertRefused(() -> checkpoint.layer(1), "layer 1 is for multi-token prediction");
  }

  @Test
  void refusesFoldersThatAreNoCheckpoint() throws IOException {
    assertOpenRefused("empty folder");
    assertRefused(
        () -> Checkpoint.open(folder.resolve("Qwen/Qwen3-30B").toString(), Synthetic.CONF),
        "give a downloaded checkpoint");
    assertRefused(() -> Checkpoint.open("", Synthetic.CONF), "is not a path");
    assertRefused(() -> Checkpoint.open("foo://bar/x", Synthetic.CONF), "cannot be read");
    Path file = Files.writeString(folder.resolve("notes.txt"), "x");
    assertRefused(() -> Synthetic.open(file), "is a file; give the checkpoint's folder");
    assertOpenRefused("has no config.json");
    Synthetic.config(folder, Synthetic.MIXTRAL);
    assertOpenRefused("has neither model.safetensors.index.json nor model.safetensors");
    Files.writeString(folder.resolve("pytorch_model-00001-of-00002.bin"), "x");
    assertOpenRefused("only PyTorch .bin weights; convert them");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "[]                          | is not a JSON object",
        "{'a':1,'a':2}               | Duplicate",
        "{} {}                       | has more after its closing brace",
        "{'model_type':              | is not valid JSON",
        "{}                          | has no model_type",
        "{'model_type':7}            | has \"7\" for model_type, which must be a string",
        "{'model_type':'bert'}       | model_type \"bert\", which is not supported; supported are"
            + " dbrx, deepseek_v2",
      })
  void refusesConfigurations(String json, String message) {
    Synthetic.config(folder, json);
    assertOpenRefused(message);
  }

  /** Each line changes or adds keys of a good Mixtral configuration. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "'hidden_size':6             | 'hidden_size':6.5           | has \"6.5\" for hidden_size",
        "'hidden_size':6             | 'hidden_size':-6            | whole number from 1 to"
            + " 1048576",
        "'hidden_size':6,            | ``                          | lacks hidden_size",
        "'hidden_size':6             | 'hidden_size':7             | but the configuration asks for"
            + " [3, 7]",
        "'num_experts_per_tok':2     | 'num_experts_per_tok':9     | top 9 of only 3 experts",
        "'num_local_experts':3       | 'num_local_experts':4       | but the configuration asks for"
            + " [4, 6]",
        "'num_local_experts':3       | 'num_local_experts':3,'num_experts':5 | but 5 for one of its"
            + " aliases",
        "'hidden_act':'silu'         | 'hidden_act':'xielu'        | hidden_act \"xielu\", but"
            + " model_type \"mixtral\" is only known with silu or swish or gelu",
        "'hidden_act':'silu'         | 'scoring_func':'sigmoid'    | scoring_func \"sigmoid\"",
        "'hidden_act':'silu'         | 'topk_method':'noaux_tc'    | topk_method \"noaux_tc\"",
        "'hidden_act':'silu'         | 'moe_layer_freq':2          | moe_layer_freq \"2\"",
        "'model_type':'mixtral'      | 'model_type':'minimax_m2'   | no tensor for the selection"
            + " bias",
        "'model_type':'mixtral'      | 'model_type':'jetmoe'       |"
            + " model.layers.0.block_sparse_moe.bias\" is missing",
        "'model_type':'mixtral'      | 'model_type':'deepseek_v2','first_k_dense_replace':1 | layer"
            + " 0 is dense by config.json, but sparse by its tensors",
      })
  void refusesContradictions(String key, String replacement, String message) {
    Synthetic.config(folder, Synthetic.MIXTRAL.replace(key, replacement));
    write(mixtral(4));
    assertRefused(() -> Synthetic.open(folder).layer(0), message);
  }

  @ParameterizedTest
  @ValueSource(strings = {"norm_topk_prob':true", "topk_method':'noaux_tc", "moe_layer_freq':2"})
  void refusesVariantsOfDeepSeekV2(String key) {
    Fixtures.copy("deepseek_v2", folder);
    Path config = folder.resolve("config.json");
    String name = key.substring(0, key.indexOf('\''));
    String changed = "'" + key + (key.endsWith("tc") ? "'" : "") + ",";
    String without =
        Synthetic.read(config).replaceAll("\"" + name + "\": *(\"[^\"]*\"|[a-z0-9]+),", "");
    Synthetic.text(config, without.replaceFirst("\\{", "{" + changed));
    assertOpenRefused(name);
  }

  @Test
  void refusesQuantizedWeightsWithoutConfiguration() {
    Synthetic.config(folder, Synthetic.MIXTRAL);
    write(
        mixtral(4)
            .add(BLOCK + ".experts.1.w2.weight", SafetensorsDType.F8_E4M3, new byte[24], 6, 4));
    assertLayerRefused("(F8_E4M3) is quantized, but config.json has no quantization_config");
  }

  @Test
  void refusesScalesOfWeightsThatAreNotQuantized() {
    Synthetic.config(
        folder,
        Synthetic.MIXTRAL.replace(
            "'hidden_act'", "'quantization_config':{'quant_method':'fp8'},'hidden_act'"));
    for (String suffix :
        new String[] {"weight_scale_inv", "qweight", "qzeros", "weight_packed", "g_idx"}) {
      write(mixtral(4).addRandom(BLOCK + ".experts.0.w1." + suffix, 1, 1));
      assertLayerRefused("experts.0.w1." + suffix + "\" has no part in a mixtral layer");
    }
  }

  @Test
  void refusesTensorsItDoesNotUnderstand() {
    Synthetic.config(folder, Synthetic.MIXTRAL);
    write(mixtral(4).addRandom(BLOCK + ".gate.e_score_correction_bias", 3));
    assertLayerRefused("e_score_correction_bias\" has no part in a mixtral layer");
    write(mixtral(4).addRandom(BLOCK + ".router.weight", 3, 6));
    assertLayerRefused("several tensors for the router");
    write(
        new SafetensorsWriter()
            .addRandom(BLOCK + ".gate.weight", 3, 6)
            .addRandom(BLOCK + ".experts.weird", 3, 6));
    assertLayerRefused("names of no known layout");
    write(mixtral(5));
    assertLayerRefused("w1.weight\" is [5, 6], but the configuration asks for [4, 6]");
    write(new SafetensorsWriter().addRandom("lm_head.weight", 3, 6));
    assertLayerRefused("no tensors of layer 0's experts are there");
    SafetensorsWriter two = new SafetensorsWriter().addRandom(BLOCK + ".gate.weight", 3, 6);
    write(Synthetic.experts(two, BLOCK, 2, 4, 6, "w1", "w3", "w2"));
    assertLayerRefused("tensors of 2 experts, numbered 0-1, but config.json says 3");
  }

  @Test
  void noticesThatAShardChanged() {
    Synthetic.config(folder, Synthetic.MIXTRAL);
    write(mixtral(4));
    MoeLayer layer = Synthetic.open(folder).layer(0);
    write(mixtral(5));
    assertRefused(() -> layer.open(Synthetic.CONF), "it is not the file that the job was planned");
    // The same size with two names swapped: only the header tells.
    write(swapped());
    assertRefused(() -> layer.open(Synthetic.CONF), "has a header with SHA-256");
    assertThat(folder.resolve("model.safetensors").toFile().delete()).isTrue();
    assertRefused(() -> layer.open(Synthetic.CONF), "is not on this machine");
  }

  private static SafetensorsWriter mixtral(int width) {
    SafetensorsWriter writer = new SafetensorsWriter().addRandom(BLOCK + ".gate.weight", 3, 6);
    return Synthetic.experts(writer, BLOCK, 3, width, 6, "w1", "w3", "w2");
  }

  private static SafetensorsWriter swapped() {
    SafetensorsWriter writer = new SafetensorsWriter().addRandom(BLOCK + ".gate.weight", 3, 6);
    return Synthetic.experts(writer, BLOCK, 3, 4, 6, "w3", "w1", "w2");
  }

  private void write(SafetensorsWriter writer) {
    writer.write(folder.resolve("model.safetensors"));
  }

  private void assertOpenRefused(String message) {
    assertRefused(() -> Synthetic.open(folder), message);
  }

  private void assertLayerRefused(String message) {
    assertRefused(() -> Synthetic.open(folder).layer(0), message);
  }

  /** One line with a remedy. */
  private static void assertRefused(ThrowingCallable call, String message) {
    assertThatExceptionOfType(InputException.class)
        .isThrownBy(call)
        .satisfies(e -> assertThat(e.getMessage()).contains(message))
        .satisfies(e -> assertThat(e.getMessage().lines()).hasSize(1))
        .satisfies(e -> assertThat(e.getMessage()).matches(".+[;,] .+"));
  }
}
