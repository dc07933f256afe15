package org.sparkmoe.datasets.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.QuantMaker.Scales;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.quant.ScaledScheme;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Quantized experts in common tensors: ModelOpt's Llama 4, and the linear maps of Granite and
 * JetMoE.
 */
final class FusedLayoutsTest {
  private static final int EXPERTS = 3;
  private static final int HIDDEN = 48;
  private static final int WIDTH = 32;
  private static final String LLAMA = "model.layers.0.feed_forward";
  private static final String GRANITE = "model.layers.0.block_sparse_moe";
  private static final String SHARED = "model.layers.0.shared_mlp";

  @TempDir private Path folder;
  private final Random random = new Random(11);
  private final SafetensorsWriter writer = new SafetensorsWriter();

  /** Gate above up, and down, of each expert. */
  private final double[][][] both = new double[EXPERTS][2 * WIDTH][HIDDEN];

  private final double[][][] down = new double[EXPERTS][HIDDEN][WIDTH];

  @Test
  void readsLlama4InFp8() {
    llama("{'quant_method':'modelopt','quant_algo':'FP8','exclude_modules':['*router*']}");
    String experts = LLAMA + ".experts.";
    fp8ByInputs(experts + "gate_up_proj", both, 0.5f);
    fp8ByInputs(experts + "down_proj", down, 0.25f);
    writer
        .addFloats(experts + "gate_up_proj_input_scale", new float[] {0.75f})
        .addFloats(experts + "down_proj_input_scale", new float[] {3}, 1);
    MoeLayer layer = open();
    assertThat(layer.formats().in().label()).isEqualTo("e4m3 per tensor, f32 scales");
    assertThat(layer.schemes().input().scheme().label()).isEqualTo("e4m3 per tensor");
    assertThat(layer.schemes().input().staticScaleOrNull()).isEqualTo(0.75f);
    assertThat(layer.schemes().inner().staticScaleOrNull()).isEqualTo(3f);
    assertExperts(layer);
  }

  /** Inputs first: a byte holds two neighbouring inputs of one output. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void readsLlama4InNvfp4(boolean quantizedInputs) {
    String algorithm = quantizedInputs ? "NVFP4" : "W4A16_NVFP4";
    llama("{'quant_method':'modelopt','quant_algo':'%s','group_size':16}".formatted(algorithm));
    String experts = LLAMA + ".experts.";
    nvfp4(experts + "gate_up_proj", both, true, false);
    nvfp4(experts + "down_proj", down, true, false);
    if (quantizedInputs) {
      writer
          .addFloats(experts + "gate_up_proj_input_scale", new float[] {0.75f}, 1)
          .addFloats(experts + "down_proj_input_scale", new float[] {3});
    }
    MoeLayer layer = open();
    assertThat(layer.formats().down().label()).isEqualTo("e2m1 per 1x16, e4m3 scales");
    assertThat(layer.schemes().input().staticScaleOrNull())
        .isEqualTo(quantizedInputs ? (Float) 0.75f : null);
    assertExperts(layer);
  }

  /** Outputs first, with a global scale for each expert. */
  @Test
  void readsNvfp4ByOutputs() {
    Synthetic.config(
        folder,
        Synthetic.mixtral(
            HIDDEN, WIDTH, EXPERTS, "{'quant_method':'modelopt','quant_algo':'W4A16_NVFP4'}"));
    writer.addRandom(GRANITE + ".gate.weight", EXPERTS, HIDDEN);
    nvfp4(GRANITE + ".experts.gate_up_proj", both, false, true);
    nvfp4(GRANITE + ".experts.down_proj", down, false, true);
    assertExperts(open());
  }

  @Test
  void readsGraniteInFp8() {
    granite(
        """
        {'quant_method':'compressed-tensors','format':'float-quantized',
         'ignore':['lm_head','re:.*block_sparse_moe.router'],
         'config_groups':{'group_0':{'targets':['Linear'],
          'weights':{'num_bits':8,'type':'float','strategy':'channel','dynamic':false},
          'input_activations':{'num_bits':8,'type':'float','strategy':'token','dynamic':true}}}}\
        """);
    fp8ByOutputs(GRANITE + ".input_linear.weight", both);
    fp8ByOutputs(GRANITE + ".output_linear.weight", down);
    QuantMaker channel = QuantMaker.grid(false, Scales.BF16, "weight_scale", 1, 1 << 20, 2);
    double[][] pair = channel.add(writer, SHARED + ".input_linear", 40, HIDDEN, random);
    double[][] back = channel.add(writer, SHARED + ".output_linear", HIDDEN, 20, random);
    MoeLayer layer = open();
    assertThat(layer.schemes().input().scheme().label()).isEqualTo("e4m3 per token");
    assertThat(layer.schemes().sharedInner().scheme().label()).isEqualTo("e4m3 per token");
    assertExperts(layer);
    assertShared(layer, pair, back);
  }

  @Test
  void readsJetMoeInFp8AsGranite() {
    Synthetic.config(
        folder,
        """
        {'model_type':'jetmoe','hidden_size':48,'intermediate_size':32,'num_local_experts':3,
         'num_experts_per_tok':2,'num_hidden_layers':1,'activation_function':'silu',
         'quantization_config':{'quant_method':'compressed-tensors','format':'float-quantized',
          'ignore':['lm_head','re:.*router.*'],
          'config_groups':{'group_0':{'targets':['Linear'],
           'weights':{'num_bits':8,'type':'float','strategy':'channel','dynamic':false}}}}}\
        """);
    String module = "model.layers.0.mlp";
    writer
        .addRandom(module + ".router.layer.weight", EXPERTS, HIDDEN)
        .addRandom(module + ".bias", HIDDEN);
    fp8ByOutputs(module + ".input_linear.weight", both);
    fp8ByOutputs(module + ".output_linear.weight", down);
    MoeLayer layer = open();
    assertThat(layer.schemes().input()).isEqualTo(ScaledScheme.NONE);
    assertExperts(layer);
  }

  @Test
  void sharedExpertOfGraniteMayBePacked() {
    granite(
        """
        {'quant_method':'compressed-tensors','format':'pack-quantized',
         'config_groups':{'group_0':{'targets':['re:.*shared_mlp.*'],
          'weights':{'num_bits':4,'type':'int','strategy':'group','group_size':16,
           'symmetric':false,'actorder':'group'}}}}\
        """);
    writer
        .addRandom(GRANITE + ".input_linear.weight", EXPERTS, 2 * WIDTH, HIDDEN)
        .addRandom(GRANITE + ".output_linear.weight", EXPERTS, HIDDEN, WIDTH);
    QuantMaker packed = QuantMaker.packed(4, 16, true, true);
    double[][] pair = packed.add(writer, SHARED + ".input_linear", 40, HIDDEN, random);
    double[][] back = packed.add(writer, SHARED + ".output_linear", HIDDEN, 20, random);
    MoeLayer layer = open();
    assertThat(layer.formats().in()).isEqualTo(DType.BF16);
    assertThat(layer.schemes().sharedInput()).isEqualTo(ScaledScheme.NONE);
    assertShared(layer, pair, back);
  }

  @Test
  void refusesWhatDoesNotFit() {
    String nvfp4 = "{'quant_method':'modelopt','quant_algo':'W4A16_NVFP4'}";
    String experts = LLAMA + ".experts.";
    llama(nvfp4);
    nvfp4(experts + "gate_up_proj", both, false, false);
    nvfp4(experts + "down_proj", down, true, false);
    assertRefused("gate_up_proj\" is [3, 64, 24], but the configuration asks for [3, 24, 64]");
    llama(nvfp4);
    nvfp4(experts + "gate_up_proj", both, true, false);
    nvfp4(experts + "down_proj", down, true, false);
    writer.addFloats(experts + "gate_up_proj_weight_scale_2", new float[] {1, 2}, 2);
    assertRefused("gate_up_proj_weight_scale_2\" is [2], but the configuration asks for []");
    writer.addFloats(experts + "gate_up_proj_weight_scale_2", new float[] {0});
    MoeLayer layer = open();
    assertThatThrownBy(() -> read(layer))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("gate_up_proj_weight_scale_2\" is 0.0, it must be positive");
    llama("{'quant_method':'fp8','weight_block_size':[16,16]}");
    fp8ByInputs(experts + "gate_up_proj", both, 0.5f);
    fp8ByInputs(experts + "down_proj", down, 0.5f);
    assertRefused("gate_up_proj\" has inputs first and scales per block");
    llama("{'quant_method':'awq','bits':4,'group_size':16}");
    assertRefused("gate_up_proj\" holds all experts, which is not known of this quantization");
  }

  @Test
  void refusesPackedIntegersInCommonTensors() {
    granite("{'quant_method':'awq','bits':4,'group_size':16}");
    String packed = GRANITE + ".input_linear.weight_packed";
    writer.add(packed, SafetensorsDType.I32, new byte[EXPERTS * 4], EXPERTS, 1, 1);
    assertRefused("names of no known layout");
  }

  @Test
  void refusesQuantizedFlatTensors() {
    Synthetic.config(
        folder,
        """
        {'model_type':'dbrx','d_model':48,'n_layers':1,'ffn_config':{'ffn_hidden_size':32,
         'moe_num_experts':3,'moe_top_k':2,'moe_normalize_expert_weights':1,
         'ffn_act_fn':{'name':'silu'}},'quantization_config':{'quant_method':'fp8'}}\
        """);
    String dbrx = "transformer.blocks.0.ffn.";
    writer
        .addRandom(dbrx + "router.layer.weight", EXPERTS, HIDDEN)
        .add(
            dbrx + "experts.mlp.w1",
            SafetensorsDType.F8_E4M3,
            codes(EXPERTS * WIDTH * HIDDEN),
            (long) EXPERTS * WIDTH,
            HIDDEN);
    assertRefused("experts.mlp.w1\" is F8_E4M3, supported here is BF16 or F16 or F32");
  }

  @Test
  void refusesInterleavedNvfp4() {
    Synthetic.config(
        folder,
        """
        {'model_type':'gpt_oss','hidden_size':48,'intermediate_size':32,'num_local_experts':3,
         'num_experts_per_tok':2,'num_hidden_layers':1,'swiglu_limit':7.0,
         'quantization_config':{'quant_method':'modelopt','quant_algo':'NVFP4'}}\
        """);
    writer
        .addRandom("model.layers.0.mlp.router.weight", EXPERTS, HIDDEN)
        .addRandom("model.layers.0.mlp.router.bias", EXPERTS);
    nvfp4("model.layers.0.mlp.experts.gate_up_proj", both, false, false);
    assertRefused("gate_up_proj\" is quantized with gate and up interleaved");
  }

  /** A sliced block of rows would hold rows of gate and of up. */
  @Test
  void refusesBlocksAcrossGateAndUp() {
    granite("{'quant_method':'fp8','weight_block_size':[16,16]}");
    writer
        .addRandom(GRANITE + ".input_linear.weight", EXPERTS, 2 * WIDTH, HIDDEN)
        .addRandom(GRANITE + ".output_linear.weight", EXPERTS, HIDDEN, WIDTH);
    QuantMaker block = QuantMaker.grid(false, Scales.F32, "weight_scale_inv", 16, 16, 2);
    block.add(writer, SHARED + ".input_linear", 40, HIDDEN, random);
    block.add(writer, SHARED + ".output_linear", HIDDEN, 20, random);
    assertRefused("has blocks of 16 rows with both gate and up");
  }

  private void llama(String quantization) {
    Synthetic.config(
        folder,
        """
        {'model_type':'llama4_text','hidden_size':48,'intermediate_size':32,'num_local_experts':3,
         'num_experts_per_tok':1,'num_hidden_layers':1,'interleave_moe_layer_step':1,
         'hidden_act':'silu','quantization_config':%s}\
        """
            .formatted(quantization));
    writer.addRandom(LLAMA + ".router.weight", EXPERTS, HIDDEN);
    QuantMaker plain = QuantMaker.plain();
    plain.add(writer, LLAMA + ".shared_expert.gate_proj", WIDTH, HIDDEN, random);
    plain.add(writer, LLAMA + ".shared_expert.up_proj", WIDTH, HIDDEN, random);
    plain.add(writer, LLAMA + ".shared_expert.down_proj", HIDDEN, WIDTH, random);
  }

  private void granite(String quantization) {
    Synthetic.config(
        folder,
        """
        {'model_type':'granitemoehybrid','hidden_size':48,'intermediate_size':32,
         'num_local_experts':3,'num_experts_per_tok':2,'num_hidden_layers':1,
         'shared_intermediate_size':20,'quantization_config':%s}\
        """
            .formatted(quantization));
    writer.addRandom(GRANITE + ".router.layer.weight", EXPERTS, HIDDEN);
  }

  private void fp8ByInputs(String tensor, double[][][] weights, float scale) {
    int rows = weights[0].length;
    int cols = weights[0][0].length;
    byte[] codes = codes(EXPERTS * rows * cols);
    for (int e = 0; e < EXPERTS; e++) {
      for (int n = 0; n < rows; n++) {
        for (int k = 0; k < cols; k++) {
          weights[e][n][k] = QuantMaker.e4m3(codes[(e * cols + k) * rows + n]) * scale;
        }
      }
    }
    writer
        .add(tensor, SafetensorsDType.F8_E4M3, codes, EXPERTS, cols, rows)
        .addFloats(tensor + "_weight_scale", new float[] {scale});
  }

  private void fp8ByOutputs(String tensor, double[][][] weights) {
    int rows = weights[0].length;
    int cols = weights[0][0].length;
    byte[] codes = codes(EXPERTS * rows * cols);
    double[] scales =
        Scales.BF16.add(writer, tensor + "_scale", EXPERTS * rows, random, EXPERTS, rows, 1);
    for (int i = 0; i < codes.length; i++) {
      int row = i / cols;
      weights[row / rows][row % rows][i % cols] = QuantMaker.e4m3(codes[i]) * scales[row];
    }
    writer.add(tensor, SafetensorsDType.F8_E4M3, codes, EXPERTS, rows, cols);
  }

  private void nvfp4(String tensor, double[][][] weights, boolean byInputs, boolean globals) {
    int rows = weights[0].length;
    int cols = weights[0][0].length;
    int groups = cols / 16;
    byte[] codes = new byte[EXPERTS * rows * cols / 2];
    byte[] scales = new byte[EXPERTS * rows * groups];
    float[] global = new float[globals ? EXPERTS : 1];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = (byte) random.nextInt(127);
    }
    for (int i = 0; i < global.length; i++) {
      global[i] = QuantMaker.scale(random);
    }
    for (int e = 0; e < EXPERTS; e++) {
      for (int n = 0; n < rows; n++) {
        for (int k = 0; k < cols; k++) {
          int code = random.nextInt(16);
          int place =
              byInputs ? (e * cols / 2 + k / 2) * rows + n : (e * rows + n) * cols / 2 + k / 2;
          QuantMaker.put(codes, place * 8L + k % 2 * 4L, 4, code);
          int scale =
              byInputs ? (e * groups + k / 16) * rows + n : (e * rows + n) * groups + k / 16;
          weights[e][n][k] =
              QuantMaker.e2m1(code) * QuantMaker.e4m3(scales[scale]) * global[globals ? e : 0];
        }
      }
    }
    writer
        .add(tensor, SafetensorsDType.U8, codes, shape(byInputs, rows, cols / 2))
        .add(
            tensor + "_weight_scale",
            SafetensorsDType.F8_E4M3,
            scales,
            shape(byInputs, rows, groups))
        .addFloats(
            tensor + "_weight_scale_2", global, globals ? new long[] {EXPERTS} : new long[0]);
  }

  private static long[] shape(boolean byInputs, int rows, int cols) {
    return byInputs ? new long[] {EXPERTS, cols, rows} : new long[] {EXPERTS, rows, cols};
  }

  private byte[] codes(int count) {
    byte[] codes = new byte[count];
    for (int i = 0; i < count; i++) {
      codes[i] = (byte) (random.nextInt(127) | random.nextInt(2) << 7);
    }
    return codes;
  }

  private MoeLayer open() {
    writer.write(folder.resolve("model.safetensors"));
    return Synthetic.open(folder).layer(0);
  }

  private static void read(MoeLayer layer) {
    try (LayerTensors tensors = layer.open(Synthetic.CONF);
        Arena arena = Arena.ofConfined()) {
      tensors.expert(1, arena);
    }
  }

  private void assertRefused(String message) {
    assertThatThrownBy(this::open)
        .isInstanceOf(InputException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }

  private void assertExperts(MoeLayer layer) {
    try (LayerTensors tensors = layer.open(Synthetic.CONF);
        Arena arena = Arena.ofConfined()) {
      for (int e = 0; e < EXPERTS; e++) {
        assertExpert(tensors.expert(e, arena), both[e], down[e]);
      }
    }
  }

  private static void assertShared(MoeLayer layer, double[][] pair, double[][] back) {
    try (LayerTensors tensors = layer.open(Synthetic.CONF);
        Arena arena = Arena.ofConfined()) {
      assertExpert(tensors.sharedExpert(arena).orElseThrow(), pair, back);
    }
  }

  private static void assertExpert(ExpertWeights actual, double[][] pair, double[][] back) {
    int width = pair.length / 2;
    QuantFormatsTest.assertSame(actual.w1(), Arrays.copyOf(pair, width), "gate");
    QuantFormatsTest.assertSame(
        actual.w3OrNull(), Arrays.copyOfRange(pair, width, 2 * width), "up");
    QuantFormatsTest.assertSame(actual.w2(), back, "down");
  }
}
