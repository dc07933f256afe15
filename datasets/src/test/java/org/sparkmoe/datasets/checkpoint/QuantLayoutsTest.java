package org.sparkmoe.datasets.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.QuantMaker.Scales;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.quant.ScaledScheme;
import org.sparkmoe.kernels.tensor.DType;

/** Formats mixed in one layer, shared experts, experts in common tensors, static scales. */
final class QuantLayoutsTest {
  private static final int ALL = 1 << 20;
  private static final String BLOCK = "model.layers.0.block_sparse_moe";
  private static final String MLP = "model.layers.0.mlp";
  private static final QuantMaker CHANNEL =
      QuantMaker.grid(false, Scales.F32, "weight_scale", 1, ALL, 2);

  @TempDir private Path folder;
  private final Random random = new Random(7);

  @Test
  void readsExpertsThatAreStoredInDifferentWays() {
    Synthetic.config(
        folder,
        Synthetic.mixtral(32, 16, 2, "{'quant_method':'fp8','ignored_layers':['lm_head']}"));
    SafetensorsWriter writer = new SafetensorsWriter().addRandom(BLOCK + ".gate.weight", 2, 32);
    double[][] gate0 = CHANNEL.add(writer, BLOCK + ".experts.0.w1", 16, 32, random);
    double[][] up0 = QuantMaker.plain().add(writer, BLOCK + ".experts.0.w3", 16, 32, random);
    double[][] down0 = CHANNEL.add(writer, BLOCK + ".experts.0.w2", 32, 16, random);
    double[][] gate1 = QuantMaker.plain().add(writer, BLOCK + ".experts.1.w1", 16, 32, random);
    double[][] up1 = CHANNEL.add(writer, BLOCK + ".experts.1.w3", 16, 32, random);
    double[][] down1 = CHANNEL.add(writer, BLOCK + ".experts.1.w2", 32, 16, random);
    write(writer);
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertThat(layer.formats().in()).as("the larger").isEqualTo(DType.BF16);
    assertThat(layer.formats().down().label()).isEqualTo("e4m3 per 1xk, f32 scales");
    assertThat(layer.schemes().input())
        .as("some gate and up projections want their input as it is")
        .isEqualTo(ScaledScheme.NONE);
    assertThat(QuantFormatsTest.label(layer.schemes().inner()))
        .isEqualTo("e4m3 per tensor, over all tokens");
    try (LayerTensors tensors = layer.open(Synthetic.CONF);
        Arena arena = Arena.ofConfined()) {
      assertExpert(tensors.expert(0, arena), gate0, up0, down0);
      assertExpert(tensors.expert(1, arena), gate1, up1, down1);
    }
  }

  @Test
  void sharedExpertHasItsOwnFormatAndScheme() {
    Synthetic.config(
        folder,
        shared(
            """
            {'quant_method':'compressed-tensors','format':'mixed-precision','ignore':['re:.*gate$'],
             'config_groups':{
              'experts':{'targets':['re:.*experts\\\\.[0-9]+\\\\..*'],'format':'pack-quantized',
                'weights':{'num_bits':4,'type':'int','strategy':'group','group_size':32}},
              'unused':{'targets':['lm_head'],'weights':{'num_bits':3,'type':'int'}},
              'others':{'targets':['Linear'],'format':'int-quantized',
                'weights':{'num_bits':8,'type':'int','strategy':'channel'},
                'input_activations':{'num_bits':8,'type':'int','strategy':'token','dynamic':true}}}}\
            """));
    SafetensorsWriter writer = new SafetensorsWriter();
    QuantMaker packed = QuantMaker.packed(4, 32, false, false);
    QuantMaker int8 = QuantMaker.grid(true, Scales.F32, "weight_scale", 1, ALL, 2);
    List<double[][]> routed = projections(writer, MLP + ".experts.0", 32, 64, packed);
    List<double[][]> own = projections(writer, MLP + ".shared_expert", 48, 64, int8);
    writer
        .addRandom(MLP + ".gate.weight", 1, 64)
        .addRandom(MLP + ".shared_expert_gate.weight", 1, 64);
    write(writer);
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertThat(layer.formats().in().label()).isEqualTo("uint4 per 1x32, bf16 scales");
    assertThat(layer.sharedFormats().orElseThrow().down().label())
        .isEqualTo("int8 per 1xk, f32 scales");
    assertThat(layer.schemes().input()).isEqualTo(ScaledScheme.NONE);
    assertThat(layer.schemes().sharedInput().scheme().label()).isEqualTo("int8 per token");
    assertThat(layer.schemes().sharedInner().scheme().label()).isEqualTo("int8 per token");
    try (LayerTensors tensors = layer.open(Synthetic.CONF);
        Arena arena = Arena.ofConfined()) {
      assertExpert(tensors.expert(0, arena), routed.get(0), routed.get(1), routed.get(2));
      assertExpert(tensors.sharedExpert(arena).orElseThrow(), own.get(0), own.get(1), own.get(2));
    }
  }

  /** As DeepSeek-R1 is published in w4afp8: static scales stand under other names. */
  @Test
  void w4afp8KeepsOtherMapsInFp8() {
    Synthetic.config(
        folder,
        shared("{'quant_method':'w4afp8'}")
            .replace("'moe_intermediate_size':32", "'moe_intermediate_size':128")
            .replace("'hidden_size':64", "'hidden_size':256"));
    SafetensorsWriter writer = new SafetensorsWriter();
    List<double[][]> routed = projections(writer, MLP + ".experts.0", 128, 256, QuantMaker.int4());
    float scale = 0.25f;
    for (String name : List.of("w1", "w2", "w3")) {
      writer.addFloats(MLP + ".experts.0." + name + ".input_scale", new float[] {scale}, 1);
      scale *= 2;
    }
    QuantMaker block = QuantMaker.grid(false, Scales.F32, "weight_scale_inv", 128, 128, 2);
    List<double[][]> own = projections(writer, MLP + ".shared_expert", 48, 256, block);
    writer
        .addRandom(MLP + ".gate.weight", 1, 256)
        .addRandom(MLP + ".shared_expert_gate.weight", 1, 256);
    write(writer);
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertThat(layer.schemes().input().staticScaleOrNull()).isEqualTo(1f);
    assertThat(layer.schemes().inner().staticScaleOrNull()).isEqualTo(0.5f);
    assertThat(layer.schemes().sharedInput().scheme().label())
        .isEqualTo("e4m3 per 128 values, f32 scales");
    try (LayerTensors tensors = layer.open(Synthetic.CONF);
        Arena arena = Arena.ofConfined()) {
      assertExpert(tensors.expert(0, arena), routed.get(0), routed.get(1), routed.get(2));
      assertExpert(tensors.sharedExpert(arena).orElseThrow(), own.get(0), own.get(1), own.get(2));
    }
  }

  @Test
  void sharedExpertMayBePlain() {
    Synthetic.config(folder, shared("{'quant_method':'fp8','activation_scheme':'dynamic'}"));
    SafetensorsWriter writer = new SafetensorsWriter();
    projections(writer, MLP + ".experts.0", 32, 64, CHANNEL);
    List<double[][]> own = projections(writer, MLP + ".shared_expert", 48, 64, QuantMaker.plain());
    writer
        .addRandom(MLP + ".gate.weight", 1, 64)
        .addRandom(MLP + ".shared_expert_gate.weight", 1, 64);
    write(writer);
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertThat(layer.sharedFormats().orElseThrow().in()).isEqualTo(DType.BF16);
    assertThat(layer.schemes().sharedInput()).isEqualTo(ScaledScheme.NONE);
    assertThat(layer.schemes().input().needsAllTokens()).isTrue();
    try (LayerTensors tensors = layer.open(Synthetic.CONF);
        Arena arena = Arena.ofConfined()) {
      assertExpert(tensors.sharedExpert(arena).orElseThrow(), own.get(0), own.get(1), own.get(2));
    }
  }

  @Test
  void staticScalesAreTheLargestOfTheLayer() {
    Synthetic.config(
        folder, Synthetic.mixtral(32, 16, 2, "{'quant_method':'modelopt','quant_algo':'NVFP4'}"));
    QuantMaker maker = QuantMaker.fp4("weight", "weight_scale_2", false);
    SafetensorsWriter writer = new SafetensorsWriter().addRandom(BLOCK + ".gate.weight", 2, 32);
    double[] scales = {0.5, 0.25, 8, 0.75, 0.125, 4};
    for (int i = 0; i < scales.length; i++) {
      String linear = BLOCK + ".experts." + i / 3 + "." + List.of("w1", "w3", "w2").get(i % 3);
      boolean down = i % 3 == 2;
      maker
          .with("input_scale", scales[i])
          .add(writer, linear, down ? 32 : 16, down ? 16 : 32, random);
    }
    write(writer);
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertThat(layer.schemes().input().staticScaleOrNull()).isEqualTo(0.75f);
    assertThat(layer.schemes().inner().staticScaleOrNull()).isEqualTo(8f);
  }

  @Test
  void readsModelOptsOwnFileAndCountsItInTheFingerprint() {
    String config = Synthetic.mixtral(32, 16, 2, "null");
    Synthetic.config(folder, config);
    String file = "{'producer':{'name':'modelopt'},'quantization':{'quant_algo':'%s'%s}}";
    Path settings = folder.resolve("hf_quant_config.json");
    Synthetic.text(settings, file.formatted("W4A16_NVFP4", ",'group_size':16"));
    SafetensorsWriter writer = new SafetensorsWriter().addRandom(BLOCK + ".gate.weight", 2, 32);
    for (int e = 0; e < 2; e++) {
      QuantMaker maker = QuantMaker.fp4("weight", "weight_scale_2", false);
      maker.add(writer, BLOCK + ".experts." + e + ".w1", 16, 32, random);
      maker.add(writer, BLOCK + ".experts." + e + ".w3", 16, 32, random);
      maker.add(writer, BLOCK + ".experts." + e + ".w2", 32, 16, random);
    }
    write(writer);
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertThat(layer.formats().in().label()).isEqualTo("e2m1 per 1x16, e4m3 scales");
    Synthetic.text(settings, file.formatted("w4a16_nvfp4", ""));
    assertThat(Synthetic.open(folder).layer(0).fingerprint()).isNotEqualTo(layer.fingerprint());
    Synthetic.text(settings, file.formatted("W4A16_NVFP4", ",'group_size':32"));
    assertThatThrownBy(() -> Synthetic.open(folder).layer(0))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("hf_quant_config.json\" has \"32\" for group_size, supported is 16");
  }

  @Test
  void mixedModelOptNamesModules() {
    Synthetic.config(
        folder,
        shared(
            """
            {'quant_method':'modelopt','quant_algo':'MIXED_PRECISION','quantized_layers':{
              'model.layers.0.mlp.experts':{'quant_algo':'W4A16_NVFP4','group_size':16},
              'model.layers.0.mlp.shared_expert.gate_proj':{'quant_algo':'FP8_PER_CHANNEL_PER_TOKEN'},
              'model.layers.0.mlp.shared_expert.up_proj':{'quant_algo':'FP8_PER_CHANNEL_PER_TOKEN'},
              'model.layers.0.mlp.shared_expert.down_proj':{'quant_algo':'FP8_PER_CHANNEL_PER_TOKEN'}}}\
            """));
    SafetensorsWriter writer = new SafetensorsWriter();
    projections(
        writer, MLP + ".experts.0", 32, 64, QuantMaker.fp4("weight", "weight_scale_2", false));
    projections(writer, MLP + ".shared_expert", 48, 64, CHANNEL);
    writer
        .addRandom(MLP + ".gate.weight", 1, 64)
        .addRandom(MLP + ".shared_expert_gate.weight", 1, 64);
    write(writer);
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertThat(layer.formats().in().label()).isEqualTo("e2m1 per 1x16, e4m3 scales");
    assertThat(layer.schemes().input()).isEqualTo(ScaledScheme.NONE);
    assertThat(layer.sharedFormats().orElseThrow().in().label())
        .isEqualTo("e4m3 per 1xk, f32 scales");
    assertThat(layer.schemes().sharedInput().scheme().label()).isEqualTo("e4m3 per token");
  }

  /** Llama 4: all experts in one tensor, inputs first, gate columns before up columns. */
  @Test
  void readsFbgemmExpertsInCommonTensors() {
    int experts = 2;
    int hidden = 24;
    int width = 10;
    Synthetic.config(
        folder,
        """
        {'model_type':'llama4_text','hidden_size':24,'intermediate_size':10,'num_local_experts':2,
         'num_experts_per_tok':1,'num_hidden_layers':1,'interleave_moe_layer_step':1,
         'hidden_act':'silu','quantization_config':{'quant_method':'fbgemm_fp8'}}\
        """);
    String module = "model.layers.0.feed_forward";
    byte[] gateUp = codes(experts * hidden * 2 * width);
    byte[] down = codes(experts * width * hidden);
    SafetensorsWriter writer =
        new SafetensorsWriter()
            .addRandom(module + ".router.weight", experts, hidden)
            .add(
                module + ".experts.gate_up_proj",
                SafetensorsDType.F8_E4M3,
                gateUp,
                experts,
                hidden,
                2L * width)
            .add(
                module + ".experts.down_proj",
                SafetensorsDType.F8_E4M3,
                down,
                experts,
                width,
                hidden);
    double[] gateUpScales =
        Scales.F32.add(
            writer,
            module + ".experts.gate_up_proj_scale",
            experts * 2 * width,
            random,
            experts,
            1,
            2L * width);
    double[] downScales =
        Scales.F32.add(
            writer,
            module + ".experts.down_proj_scale",
            experts * hidden,
            random,
            experts,
            hidden,
            1);
    projections(writer, module + ".shared_expert", width, hidden, QuantMaker.plain());
    write(writer);
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertThat(layer.formats().in().label()).isEqualTo("e4m3 per 1xk, f32 scales");
    assertThat(layer.schemes().input().scheme().label())
        .isEqualTo("e4m3 per token, of magnitudes up to 1200.0");
    assertThat(layer.schemes().sharedInput()).isEqualTo(ScaledScheme.NONE);
    try (LayerTensors tensors = layer.open(Synthetic.CONF);
        Arena arena = Arena.ofConfined()) {
      for (int e = 0; e < experts; e++) {
        double[][] gate = new double[width][hidden];
        double[][] up = new double[width][hidden];
        double[][] w2 = new double[hidden][width];
        for (int h = 0; h < hidden; h++) {
          for (int i = 0; i < width; i++) {
            int line = (e * hidden + h) * 2 * width;
            gate[i][h] = QuantMaker.e4m3(gateUp[line + i]) * gateUpScales[e * 2 * width + i];
            up[i][h] =
                QuantMaker.e4m3(gateUp[line + width + i]) * gateUpScales[(2 * e + 1) * width + i];
            w2[h][i] =
                QuantMaker.e4m3(down[(e * width + i) * hidden + h]) * downScales[e * hidden + h];
          }
        }
        assertExpert(tensors.expert(e, arena), gate, up, w2);
      }
    }
  }

  /** What transformers 5 saves of FP8 blocks: outputs first, gate rows before up rows. */
  @Test
  void readsFp8BlocksInCommonTensors() {
    int experts = 3;
    int hidden = 24;
    int width = 16;
    Synthetic.config(
        folder,
        Synthetic.mixtral(
            hidden, width, experts, "{'quant_method':'fp8','weight_block_size':[8,16]}"));
    byte[] gateUp = codes(experts * 2 * width * hidden);
    byte[] down = codes(experts * hidden * width);
    SafetensorsWriter writer =
        new SafetensorsWriter()
            .addRandom(BLOCK + ".gate.weight", experts, hidden)
            .add(
                BLOCK + ".experts.gate_up_proj",
                SafetensorsDType.F8_E4M3,
                gateUp,
                experts,
                2L * width,
                hidden)
            .add(
                BLOCK + ".experts.down_proj",
                SafetensorsDType.F8_E4M3,
                down,
                experts,
                hidden,
                width);
    String suffix = "_scale_inv";
    double[] in =
        Scales.F32.add(
            writer, BLOCK + ".experts.gate_up_proj" + suffix, experts * 8, random, experts, 4, 2);
    double[] out =
        Scales.F32.add(
            writer, BLOCK + ".experts.down_proj" + suffix, experts * 3, random, experts, 3, 1);
    write(writer);
    MoeLayer layer = Synthetic.open(folder).layer(0);
    try (LayerTensors tensors = layer.open(Synthetic.CONF);
        Arena arena = Arena.ofConfined()) {
      for (int e = 0; e < experts; e++) {
        double[][] both = new double[2 * width][hidden];
        double[][] w2 = new double[hidden][width];
        for (int h = 0; h < hidden; h++) {
          for (int i = 0; i < 2 * width; i++) {
            both[i][h] =
                QuantMaker.e4m3(gateUp[(e * 2 * width + i) * hidden + h])
                    * in[e * 8 + i / 8 * 2 + h / 16];
          }
          for (int i = 0; i < width; i++) {
            w2[h][i] = QuantMaker.e4m3(down[(e * hidden + h) * width + i]) * out[e * 3 + h / 8];
          }
        }
        assertExpert(
            tensors.expert(e, arena),
            Arrays.copyOf(both, width),
            Arrays.copyOfRange(both, width, 2 * width),
            w2);
      }
    }
  }

  private byte[] codes(int count) {
    byte[] codes = new byte[count];
    for (int i = 0; i < count; i++) {
      codes[i] = (byte) (random.nextInt(127) | random.nextInt(2) << 7);
    }
    return codes;
  }

  /** A Qwen2-MoE of one expert, I 32, S 48, H 64. */
  private static String shared(String quantization) {
    return """
    {'model_type':'qwen2_moe','hidden_size':64,'moe_intermediate_size':32,'num_experts':1,
     'num_experts_per_tok':1,'num_hidden_layers':1,'hidden_act':'silu','decoder_sparse_step':1,
     'shared_expert_intermediate_size':48,'quantization_config':%s}\
    """
        .formatted(quantization);
  }

  private List<double[][]> projections(
      SafetensorsWriter writer, String module, int width, int hidden, QuantMaker maker) {
    return List.of(
        maker.add(writer, module + ".gate_proj", width, hidden, random),
        maker.add(writer, module + ".up_proj", width, hidden, random),
        maker.add(writer, module + ".down_proj", hidden, width, random));
  }

  private static void assertExpert(
      ExpertWeights actual, double[][] gate, double[][] up, double[][] down) {
    QuantFormatsTest.assertSame(actual.w1(), gate, "gate");
    QuantFormatsTest.assertSame(actual.w3OrNull(), up, "up");
    QuantFormatsTest.assertSame(actual.w2(), down, "down");
  }

  private void write(SafetensorsWriter writer) {
    writer.write(folder.resolve("model.safetensors"));
    assertThat(Files.exists(folder.resolve("config.json"))).isTrue();
  }
}
