package org.sparkmoe.datasets.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.QuantMaker.Scales;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.tensor.DType;

/** Quantized checkpoints that are not understood, contradict themselves or are damaged. */
final class QuantRefusalsTest {
  private static final int ALL = 1 << 20;
  private static final String BLOCK = "model.layers.0.block_sparse_moe";
  private static final String W1 = BLOCK + ".experts.0.w1";
  private static final int HIDDEN = 64;
  private static final int WIDTH = 32;
  private static final QuantMaker FP8 =
      QuantMaker.grid(false, Scales.F32, "weight_scale", ALL, ALL, 0);

  @TempDir private Path folder;

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          {'quant_method':'bitsandbytes'} | quant_method "bitsandbytes", which is not supported
          {'load_in_4bit':true} | quant_method "", which is not supported
          {'quant_method':'fp8','fmt':'e5m2'} | has "e5m2" for fmt
          {'quant_method':'fp8','scale_fmt':'e3m4'} | has "e3m4" for scale_fmt
          {'quant_method':'fp8','activation_scheme':'magic'} | has "magic" for activation_scheme
          {'quant_method':'fp8','weight_block_size':[128]} | has weight_block_size [128]
          {'quant_method':'fp8','weight_block_size':[0,128]} | whole number from 1
          {'quant_method':'fp8','weight_block_size':[8,8],'activation_scheme':'static'} | with activation_scheme static
          {'quant_method':'fp8','modules_to_not_convert':['model.layers.0.block_sparse_moe.experts']} | by quantization_config (quant_method fp8)
          {'quant_method':'fp8','ignored_layers':'lm_head'} | must be a list
          {'quant_method':'gptq','bits':3,'group_size':32} | has 3 for bits, supported are [4, 8]
          {'quant_method':'gptq','bits':4} | lacks group_size
          {'quant_method':'gptq','bits':4,'group_size':0} | has 0 for group_size
          {'quant_method':'gptq','bits':4,'group_size':32,'checkpoint_format':'marlin'} | has "marlin" for checkpoint_format
          {'quant_method':'gptq','bits':4,'group_size':32,'dynamic':{'+:.*down.*':{'bits':8}}} | for some modules (dynamic)
          {'quant_method':'awq','bits':3,'group_size':32} | has 3 for bits, supported are [4, 8]
          {'quant_method':'awq','bits':4,'group_size':32,'version':'gemv'} | has "gemv" for version
          {'quant_method':'awq','bits':4,'group_size':32,'zero_point':false} | zero_point false
          {'quant_method':'modelopt'} | has no quant_algo
          {'quant_method':'modelopt','quant_algo':'INT4_AWQ'} | quant_algo "INT4_AWQ"
          {'quant_method':'modelopt','quant_algo':'NVFP4','group_size':32} | supported is 16
          {'quant_method':'mxfp4'} | gate_up_proj_blocks
          {'quant_method':'w4afp8','group_size':64} | has "64" for group_size, supported is 128
          {'quant_method':'w4afp8'} | has 64 inputs, which do not divide into groups of 128
          {'quant_method':'compressed-tensors','format':'marlin-24'} | has "marlin-24" for format
          {'quant_method':'compressed-tensors','config_groups':{}} | by quantization_config (quant_method compressed-tensors
          {'quant_method':'compressed-tensors','config_groups':{'a':{'targets':['Linear']}}} | no object weights
          {'quant_method':'compressed-tensors','config_groups':{'a':{'targets':['re:(']}}} | no regular expression
          {'quant_method':'compressed-tensors','config_groups':{'a':{'targets':['Linear'],'weights':{'num_bits':6,'type':'float'}}}} | has 6 for num_bits
          {'quant_method':'compressed-tensors','config_groups':{'a':{'targets':['Linear'],'weights':{'num_bits':8,'type':'float','symmetric':false}}}} | symmetric false
          {'quant_method':'compressed-tensors','config_groups':{'a':{'targets':['Linear'],'weights':{'num_bits':8,'type':'float','strategy':'attn_head'}}}} | strategy "attn_head"
          {'quant_method':'compressed-tensors','config_groups':{'a':{'targets':['Linear'],'weights':{'num_bits':8,'type':'float'},'output_activations':{}}}} | output_activations
          {'quant_method':'compressed-tensors','config_groups':{'a':{'targets':['Linear'],'weights':{'num_bits':8,'type':'float'},'input_activations':{'num_bits':8,'strategy':'token'}}}} | static inputs per token
          {'quant_method':'compressed-tensors','config_groups':{'a':{'targets':['Linear'],'weights':{'num_bits':8,'type':'float'},'input_activations':{'num_bits':8,'symmetric':false}}}} | inputs with zero points
          {'quant_method':'compressed-tensors','transform_config':{'config_groups':{'v':{}}}} | transform_config
          {'quant_method':'compressed-tensors','sparsity_config':{'format':'sparse-24-bitmask'}} | has "sparse-24-bitmask" for format
          """)
  void refusesConfigurations(String settings, String message) {
    write(settings, FP8);
    assertLayerRefused(message);
  }

  @Test
  void refusesOtherTypesAndShapes() {
    String block = "{'quant_method':'fp8','weight_block_size':[16,16]}";
    write(block, QuantMaker.grid(false, Scales.F32, "weight_scale_inv", 16, 32, 2));
    assertLayerRefused("w1.weight_scale_inv\" is [2, 2], but the configuration asks for [2, 4]");
    write(block, QuantMaker.grid(false, Scales.BYTES, "weight_scale_inv", 16, 16, 2));
    assertLayerRefused("w1.weight_scale_inv\" is U8, supported here is");
    write(
        block,
        (to, linear, rows, cols, random) -> {
          to.add(linear + ".weight", SafetensorsDType.F8_E5M2, new byte[rows * cols], rows, cols);
          return null;
        });
    assertLayerRefused("w1.weight\" is F8_E5M2, supported here is F8_E4M3");
    write("{'quant_method':'fp8'}", withoutScale());
    assertLayerRefused("tensor \"" + W1 + ".weight_scale\" is missing");
    write("{'quant_method':'fp8'}", FP8.with("weight_scale_inv", 1));
    assertLayerRefused("several tensors for the scales of");
    write("{'quant_method':'fp8'}", FP8.with("pre_quant_scale", 1));
    assertLayerRefused("w1.pre_quant_scale\" has no part in a mixtral layer");
    write("{'quant_method':'fp8','activation_scheme':'static'}", FP8);
    assertLayerRefused("w1.input_scale\" is missing");
    write(
        "{'quant_method':'modelopt','quant_algo':'NVFP4'}",
        QuantMaker.fp4("weight", "weight_scale_2", false));
    assertLayerRefused("w1.input_scale\" is missing");
  }

  @Test
  void refusesTruncatedPacks() {
    String settings =
        "{'quant_method':'compressed-tensors','config_groups':{'a':{'targets':['Linear'],'weights':"
            + "{'num_bits':4,'type':'int','strategy':'group','group_size':32,'symmetric':%s}}}}";
    write(
        settings.formatted(true),
        replacing(QuantMaker.packed(4, 32, false, false), "weight_packed", WIDTH, HIDDEN / 8 - 1));
    assertLayerRefused("w1.weight_packed\" is [32, 7], but the configuration asks for [32, 8]");
    write(
        settings.formatted(false),
        replacing(QuantMaker.packed(4, 32, true, false), "weight_zero_point", WIDTH, 2));
    assertLayerRefused("weight_zero_point\" is [32, 2], but the configuration asks for [4, 2]");
    String int8 = settings.replace("'num_bits':4", "'num_bits':8").formatted(false);
    write(int8, QuantMaker.int8(1, 32, false, false));
    assertLayerRefused("tensor \"" + W1 + ".weight_zero_point\" is missing");
    write(
        int8,
        replacing(
            QuantMaker.int8(1, 32, true, false),
            "weight_zero_point",
            SafetensorsDType.I8,
            new byte[WIDTH],
            WIDTH,
            1));
    assertLayerRefused("weight_zero_point\" is [32, 1], but the configuration asks for [32, 2]");
    write(
        int8,
        replacing(
            QuantMaker.int8(1, 32, true, false),
            "weight_zero_point",
            new byte[2 * WIDTH],
            WIDTH,
            2));
    assertLayerRefused("weight_zero_point\" is F8_E4M3, supported here is I8");
    write(
        settings.replace("'num_bits':4", "'num_bits':8").formatted(true),
        QuantMaker.int8(1, 32, true, false));
    assertLayerRefused(".weight_zero_point\" has no part in a mixtral layer");
    String gptq = "{'quant_method':'gptq','bits':4,'group_size':32,'sym':false}";
    write(gptq, replacing(QuantMaker.gptq(4, 32, false, -1, false), "qzeros", 2, WIDTH));
    assertLayerRefused("qzeros\" is [2, 32], but the configuration asks for [2, 4]");
    write(gptq, QuantMaker.awq(4, 32));
    assertLayerRefused("w1.qweight\" is [64, 4], but the configuration asks for [8, 32]");
  }

  @Test
  void refusesUnknownLayouts() {
    Synthetic.config(folder, Synthetic.mixtral(HIDDEN, WIDTH, 2, "{'quant_method':'fp8'}"));
    String packed = BLOCK + ".experts.gate_up_proj_packed";
    save(router().add(packed, SafetensorsDType.I32, new byte[64], 16));
    assertLayerRefused("gate_up_proj_packed\" is of a kind that llm-compressor wrote wrongly");
    save(
        router()
            .add(BLOCK + ".experts.gate_up_proj_qweight", SafetensorsDType.I32, new byte[4], 1));
    assertLayerRefused("names of no known layout");
    save(
        new SafetensorsWriter()
            .add(BLOCK + ".gate.weight", SafetensorsDType.F8_E4M3, new byte[128], 2, HIDDEN)
            .addRandom(W1 + ".weight", WIDTH, HIDDEN));
    assertLayerRefused(".gate.weight\" is F8_E4M3, supported here is");
  }

  @Test
  void refusesZeroPointsThatAreNotSymmetric() {
    String settings = "{'quant_method':'gptq','bits':4,'group_size':32,'sym':true}";
    write(settings, QuantMaker.gptq(4, 32, false, 0, false));
    assertLayerRefused("but quantization_config says sym true");
    QuantMaker symmetric = QuantMaker.gptq(4, 32, true, -1, false);
    QuantMaker other = QuantMaker.gptq(4, 32, true, 0, false);
    write(
        settings,
        (to, linear, rows, cols, random) ->
            (linear.endsWith("0.w2") ? QuantMaker.gptq(4, 32, false, 0, false) : symmetric)
                .add(to, linear, rows, cols, random));
    assertExpertRefused("experts.0.w2.qzeros\" holds zero points 0x");
    write(
        settings,
        (to, linear, rows, cols, random) ->
            (linear.endsWith("0.w2") ? other : symmetric).add(to, linear, rows, cols, random));
    assertThat(catchThrowable(this::readFirst)).as("each weight has a version").isNull();
  }

  @Test
  void refusesGroupsThatTheConfigurationDenies() {
    String settings =
        "{'quant_method':'gptq','bits':4,'group_size':32,'sym':false,'desc_act':false}";
    write(settings, QuantMaker.gptq(4, 32, false, -1, true));
    assertExpertRefused("but the configuration says desc_act false");
    String ordered = settings.replace("'desc_act':false", "'desc_act':true");
    byte[] groups = QuantMaker.ints(new int[HIDDEN]);
    groups[4] = 2;
    write(ordered, replacing(QuantMaker.gptq(4, 32, false, -1, true), "g_idx", groups, HIDDEN));
    assertExpertRefused("w1.qweight\" has a column in group 2 of 2");
  }

  @Test
  void refusesScalesThatAreNone() {
    for (float scale : new float[] {0, Float.NaN, -1, Float.POSITIVE_INFINITY}) {
      write("{'quant_method':'fp8'}", withScale("weight_scale", scale));
      assertExpertRefused("w1.weight\" has a scale of " + scale);
      write("{'quant_method':'fp8','activation_scheme':'static'}", FP8.with("input_scale", scale));
      assertLayerRefused(".input_scale\" is " + scale + ", a scale must be positive and finite");
      write(
          "{'quant_method':'modelopt','quant_algo':'W4A16_NVFP4'}",
          replacing(
              QuantMaker.fp4("weight", "weight_scale_2", false), "weight_scale_2", bytes(scale)));
      assertExpertRefused("w1.weight_scale_2\" is " + scale);
    }
    byte[] nan = new byte[WIDTH * HIDDEN];
    nan[77] = (byte) 0xFF;
    write("{'quant_method':'fp8'}", replacing(FP8, "weight", nan, WIDTH, HIDDEN));
    assertExpertRefused("w1.weight\" has NaN among its weights (number 77)");
  }

  @Test
  void refusesAShapeThatSaysSomethingElse() {
    byte[] shape = new byte[16];
    shape[0] = WIDTH;
    shape[8] = HIDDEN - 1;
    write(
        "{'quant_method':'compressed-tensors','config_groups':{'a':{'targets':['Linear'],'weights':"
            + "{'num_bits':8,'type':'int','strategy':'channel'}}}}",
        replacing(
            QuantMaker.packed(8, 0, false, false), "weight_shape", SafetensorsDType.I64, shape, 2));
    assertExpertRefused("w1.weight_shape\" says 32 x 63, the configuration 32 x 64");
  }

  private static byte[] bytes(float value) {
    return QuantMaker.ints(Float.floatToRawIntBits(value));
  }

  private static QuantMaker withoutScale() {
    return (to, linear, rows, cols, random) -> {
      to.add(linear + ".weight", SafetensorsDType.F8_E4M3, new byte[rows * cols], rows, cols);
      return null;
    };
  }

  private static QuantMaker withScale(String suffix, float scale) {
    return (to, linear, rows, cols, random) -> {
      double[][] weights = FP8.add(to, linear, rows, cols, random);
      to.addFloats(linear + "." + suffix, DType.F32, new float[] {scale});
      return weights;
    };
  }

  /** The same, but for one int32 or f32 tensor of the first map. */
  private static QuantMaker replacing(QuantMaker maker, String suffix, long... shape) {
    int count = 4;
    for (long size : shape) {
      count *= (int) size;
    }
    return replacing(maker, suffix, SafetensorsDType.I32, new byte[count], shape);
  }

  private static QuantMaker replacing(QuantMaker maker, String suffix, byte[] data, long... shape) {
    SafetensorsDType dtype =
        shape.length == 2
            ? SafetensorsDType.F8_E4M3
            : shape.length == 1 ? SafetensorsDType.I32 : SafetensorsDType.F32;
    return replacing(maker, suffix, dtype, data, shape);
  }

  private static QuantMaker replacing(
      QuantMaker maker, String suffix, SafetensorsDType dtype, byte[] data, long... shape) {
    return (to, linear, rows, cols, random) -> {
      double[][] weights = maker.add(to, linear, rows, cols, random);
      if (linear.equals(W1)) {
        to.add(linear + "." + suffix, dtype, data, shape);
      }
      return weights;
    };
  }

  private void write(String settings, QuantMaker maker) {
    QuantFormatsTest.write(new QuantCases.Case("", settings, maker, HIDDEN, WIDTH, "", ""), folder);
  }

  private static SafetensorsWriter router() {
    return new SafetensorsWriter().addRandom(BLOCK + ".gate.weight", 2, HIDDEN);
  }

  private void save(SafetensorsWriter writer) {
    writer.write(folder.resolve("model.safetensors"));
  }

  private void readFirst() {
    MoeLayer layer = Synthetic.open(folder).layer(0);
    try (LayerTensors tensors = layer.open(Synthetic.CONF);
        Arena arena = Arena.ofConfined()) {
      tensors.expert(0, arena);
    }
  }

  private void assertLayerRefused(String message) {
    assertRefused(catchThrowable(() -> Synthetic.open(folder).layer(0)), message);
  }

  /** The layer is planned, but its first expert cannot be read. */
  private void assertExpertRefused(String message) {
    assertThat(catchThrowable(() -> Synthetic.open(folder).layer(0))).isNull();
    assertRefused(catchThrowable(this::readFirst), message);
  }

  private static void assertRefused(Throwable thrown, String message) {
    assertThat(thrown).isInstanceOf(InputException.class).hasMessageContaining(message);
    assertThat(thrown.getMessage()).as("one line").doesNotContain("\n").hasSizeLessThan(1_000);
  }
}
