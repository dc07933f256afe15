package org.sparkmoe.datasets.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectOutputStream;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.layer.SharedExpertSpec;
import org.sparkmoe.kernels.router.Normalization;
import org.sparkmoe.kernels.router.TopKRule;
import org.sparkmoe.kernels.tensor.DType;

/** Layouts no fixture has: other families' files, fused by transformers 5, renamed by tools. */
final class LayoutTest {
  private static final String L0 = "model.layers.0.mlp";

  @TempDir Path folder;

  @Test
  void dbrxStoresTheDownProjectionByInputs() {
    Synthetic.config(
        folder,
        """
        {'model_type':'dbrx','d_model':6,'n_layers':1,'ffn_config':{'ffn_hidden_size':4,
         'moe_num_experts':3,'moe_top_k':2,'moe_normalize_expert_weights':2,
         'ffn_act_fn':{'name':'gelu'}}}\
        """);
    String module = "transformer.blocks.0.ffn";
    write(
        new SafetensorsWriter()
            .addRandom(module + ".router.layer.weight", 3, 6)
            .addRandom(module + ".experts.mlp.w1", 12, 6)
            .addRandom(module + ".experts.mlp.v1", 12, 6)
            .addRandom(module + ".experts.mlp.w2", 12, 6));
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertThat(layer.module()).isEqualTo(module);
    assertThat(((TopKRule) layer.spec().routing()).normalization())
        .isEqualTo(new Normalization.Lp(2));
    assertThat(layer.spec().activation()).isEqualTo(Activation.of(Activation.Kind.GELU));
    assertExpert(layer, 2, module + ".experts.mlp.w1", (8 + 3) * 6 + 5, 1);
    assertExpert(layer, 2, module + ".experts.mlp.v1", (8 + 3) * 6 + 5, 3);
    assertExpert(layer, 2, module + ".experts.mlp.w2", (8 + 3) * 6 + 5, 2);
  }

  @Test
  void qwen35NestsItsConfigurationAndStoresRows() {
    Synthetic.config(
        folder,
        """
        {'model_type':'qwen3_5_moe','vision_config':{'hidden_size':9},'text_config':{
         'model_type':'qwen3_5_moe_text','hidden_size':6,'moe_intermediate_size':4,'num_experts':3,
         'num_experts_per_tok':2,'num_hidden_layers':1,'shared_expert_intermediate_size':5}}\
        """);
    String module = "model.language_model.layers.0.mlp";
    write(
        fused(module, 8, 6)
            .addRandom(module + ".gate.weight", 3, 6)
            .addRandom(module + ".shared_expert.gate_proj.weight", 5, 6)
            .addRandom(module + ".shared_expert.up_proj.weight", 5, 6)
            .addRandom(module + ".shared_expert.down_proj.weight", 6, 5)
            .addRandom(module + ".shared_expert_gate.weight", 1, 6)
            .addRandom("mtp.layers.0.mlp.gate.weight", 3, 6));
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertThat(layer.family()).isEqualTo("qwen3_5_moe_text");
    assertThat(layer.spec().routing()).isEqualTo(TopKRule.softmax(2, true));
    assertThat(layer.spec().shared()).contains(new SharedExpertSpec(5, true));
    assertRows(layer, module);
    try (LayerTensors tensors = layer.open(Synthetic.CONF)) {
      assertThat(tensors.sharedGate().orElseThrow()).hasSize(6);
      assertThat(tensors.sharedExpert(Arena.ofAuto()).orElseThrow().intermediate()).isEqualTo(5);
    }
  }

  @Test
  void qwen3VlStoresColumns() {
    Synthetic.config(
        folder,
        """
        {'model_type':'qwen3_vl_moe','text_config':{'hidden_size':6,'moe_intermediate_size':4,
         'num_experts':3,'num_experts_per_tok':2,'num_hidden_layers':1}}\
        """);
    String module = "model.language_model.layers.0.mlp";
    write(fused(module, 6, 8).addRandom(module + ".gate.weight", 3, 6));
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertExpert(layer, 2, module + ".experts.gate_up_proj", (2 * 6 + 5) * 8 + 3, 1);
    assertExpert(layer, 2, module + ".experts.gate_up_proj", (2 * 6 + 5) * 8 + 4 + 3, 3);
    assertExpert(layer, 2, module + ".experts.down_proj", (2 * 4 + 3) * 6 + 5, 2);
  }

  @Test
  void acceptsMixtralFusedByTransformers5() {
    Synthetic.config(folder, Synthetic.MIXTRAL);
    write(fused(L0, 8, 6).addRandom(L0 + ".gate.weight", 3, 6));
    assertRows(Synthetic.open(folder).layer(0), L0);
  }

  @Test
  void acceptsMixtralTakenApartByLlmCompressor() {
    Synthetic.config(folder, Synthetic.MIXTRAL);
    SafetensorsWriter writer = new SafetensorsWriter().addRandom(L0 + ".gate.weight", 3, 6);
    write(Synthetic.experts(writer, L0, 3, 4, 6, "gate_proj", "up_proj", "down_proj"));
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertThat(layer.module()).isEqualTo(L0);
    assertExpert(layer, 1, L0 + ".experts.1.up_proj.weight", 3 * 6 + 5, 3);
  }

  @Test
  void readsGraniteSharedBesideTheMixture() {
    Synthetic.config(
        folder,
        """
        {'model_type':'granitemoehybrid','hidden_size':6,'intermediate_size':4,'num_local_experts':3,
         'num_experts_per_tok':2,'num_hidden_layers':1,'shared_intermediate_size':5,
         'time_step_limit':[0.0,Infinity]}\
        """);
    String module = "model.layers.0.block_sparse_moe";
    write(
        new SafetensorsWriter()
            .addRandom(module + ".router.layer.weight", 3, 6)
            .addRandom(module + ".input_linear.weight", 3, 8, 6)
            .addRandom(module + ".output_linear.weight", 3, 6, 4)
            .addRandom("model.layers.0.shared_mlp.input_linear.weight", 10, 6)
            .addRandom("model.layers.0.shared_mlp.output_linear.weight", 6, 5));
    try (LayerTensors tensors = Synthetic.open(folder).layer(0).open(Synthetic.CONF);
        SafetensorsFile file = model()) {
      ExpertWeights shared = tensors.sharedExpert(Arena.ofAuto()).orElseThrow();
      String input = "model.layers.0.shared_mlp.input_linear.weight";
      assertThat(shared.w3OrNull().value(3, 2))
          .isEqualTo((double) element(file, input, (5 + 3) * 6 + 2));
    }
  }

  @Test
  void readsASelectionBiasInF32() {
    Synthetic.config(
        folder,
        """
        {'model_type':'lfm2_moe','hidden_size':6,'moe_intermediate_size':4,'num_experts':3,
         'num_experts_per_tok':2,'num_hidden_layers':1,'num_dense_layers':0}\
        """);
    String module = "model.layers.0.feed_forward";
    SafetensorsWriter writer =
        new SafetensorsWriter()
            .addRandom(module + ".gate.weight", 3, 6)
            .addFloats(module + ".expert_bias", new float[] {6.8171f, 6.8172f, -1}, 3);
    write(Synthetic.experts(writer, module, 3, 4, 6, "w1", "w3", "w2"));
    try (LayerTensors tensors = Synthetic.open(folder).layer(0).open(Synthetic.CONF)) {
      assertThat(tensors.selectionBias().orElseThrow()).containsExactly(6.8171f, 6.8172f, -1);
    }
  }

  /** H = 2I leaves the order of gate_up open; the family decides, unless down contradicts it. */
  @Test
  void resolvesSquareFusedTensorsByFamilyOrRefuses() {
    Synthetic.config(folder, Synthetic.MIXTRAL.replace("'hidden_size':6", "'hidden_size':8"));
    SafetensorsWriter rows = new SafetensorsWriter().addRandom(L0 + ".gate.weight", 3, 8);
    rows.addRandom(L0 + ".experts.gate_up_proj", 3, 8, 8);
    write(rows.addRandom(L0 + ".experts.down_proj", 3, 8, 4));
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertExpert(layer, 2, L0 + ".experts.gate_up_proj", (2 * 8 + 3) * 8 + 5, 1);
    write(rows.addRandom(L0 + ".experts.down_proj", 3, 4, 8));
    assertRefused(() -> Synthetic.open(folder).layer(0), "order is ambiguous");
  }

  @Test
  void readsAShardedCheckpoint() {
    Synthetic.config(folder, Synthetic.MIXTRAL);
    new SafetensorsWriter()
        .addRandom(L0 + ".gate.weight", 3, 6)
        .addRandom("lm_head.weight", 9, 6)
        .write(folder.resolve("model-00001-of-00003.safetensors"));
    fused(L0, 8, 6).write(folder.resolve("model-00002-of-00003.safetensors"));
    Synthetic.text(
        folder.resolve("model.safetensors.index.json"),
        """
        {'metadata':{'total_size':1},'weight_map':{'%s.gate.weight':'model-00001-of-00003.safetensors',
        '%s.experts.gate_up_proj':'model-00002-of-00003.safetensors',
        '%s.experts.down_proj':'model-00002-of-00003.safetensors',
        'lm_head.weight':'model-00003-of-00003.safetensors'}}\
        """
            .formatted(L0, L0, L0));
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertThat(layer.shards().stream().map(ShardRef::name))
        .as("only those with tensors of the layer; the third does not even exist")
        .containsExactly("model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors");
    try (LayerTensors tensors = layer.open(Synthetic.CONF)) {
      assertThat(tensors.router(Arena.ofAuto()).rows()).isEqualTo(3);
      assertThat(tensors.expert(0, Arena.ofAuto()).hidden()).isEqualTo(6);
    }
  }

  @Test
  void staysSmallWithManyExperts() throws IOException {
    Synthetic.config(
        folder, Synthetic.MIXTRAL.replace("'num_local_experts':3", "'num_local_experts':384"));
    SafetensorsWriter writer = new SafetensorsWriter().addRandom(L0 + ".gate.weight", 384, 6);
    write(Synthetic.experts(writer, L0, 384, 4, 6, "w1", "w3", "w2"));
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertThat(layer.tensors()).hasSize(1 + 3 * 384);
    var bytes = new ByteArrayOutputStream();
    try (var out = new ObjectOutputStream(bytes)) {
      out.writeObject(layer);
    }
    assertThat(bytes.size()).isLessThan(200_000);
  }

  private void write(SafetensorsWriter writer) {
    writer.write(folder.resolve("model.safetensors"));
  }

  /** E 3, I 4, H 6, with gate_up of the given last dimensions. */
  private static SafetensorsWriter fused(String module, int rows, int cols) {
    boolean byRows = cols == 6;
    return new SafetensorsWriter()
        .addRandom(module + ".experts.gate_up_proj", 3, rows, cols)
        .addRandom(module + ".experts.down_proj", 3, byRows ? 6 : 4, byRows ? 4 : 6);
  }

  private void assertRows(MoeLayer layer, String module) {
    assertExpert(layer, 2, module + ".experts.gate_up_proj", (2 * 8 + 3) * 6 + 5, 1);
    assertExpert(layer, 2, module + ".experts.gate_up_proj", (2 * 8 + 4 + 3) * 6 + 5, 3);
    assertExpert(layer, 2, module + ".experts.down_proj", (2 * 6 + 5) * 4 + 3, 2);
  }

  /** Element (3, 5) of w1 and w3 and (5, 3) of w2 must be that of the file at {@code index}. */
  private void assertExpert(MoeLayer layer, int expert, String tensor, int index, int w) {
    try (LayerTensors tensors = layer.open(Synthetic.CONF);
        SafetensorsFile file = model()) {
      ExpertWeights weights = tensors.expert(expert, Arena.ofAuto());
      float actual =
          switch (w) {
            case 1 -> (float) weights.w1().value(3, 5);
            case 3 -> (float) weights.w3OrNull().value(3, 5);
            default -> (float) weights.w2().value(5, 3);
          };
      assertThat(actual).as(tensor).isEqualTo(element(file, tensor, index));
    }
  }

  private SafetensorsFile model() {
    return SafetensorsFile.open(folder.resolve("model.safetensors"));
  }

  private static float element(SafetensorsFile file, String name, long index) {
    DType dtype = file.tensor(name).dtype().kernelType().orElseThrow();
    return dtype.get(file.data(name), index);
  }

  private static void assertRefused(ThrowingCallable call, String message) {
    assertThatExceptionOfType(InputException.class)
        .isThrownBy(call)
        .satisfies(e -> assertThat(e.getMessage()).contains(message))
        .satisfies(e -> assertThat(e.getMessage().lines()).hasSize(1));
  }
}
