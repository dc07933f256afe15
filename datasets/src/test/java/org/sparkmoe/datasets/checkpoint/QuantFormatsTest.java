package org.sparkmoe.datasets.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.datasets.checkpoint.QuantMaker.Scales;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.quant.ScaledScheme;
import org.sparkmoe.kernels.tensor.Weight;

/** Every format with a tensor for each expert, read and compared with what was packed. */
final class QuantFormatsTest {
  private static final long SEED = 20_240_611;
  private static final int EXPERTS = 3;

  /**
   * A checkpoint of one layer.
   *
   * @param name for messages
   * @param settings quantization_config, with ' for "
   * @param maker of all projections
   * @param hidden H
   * @param width I
   * @param format label of the weights
   * @param activation label of both schemes
   */
  record Case(
      String name,
      String settings,
      QuantMaker maker,
      int hidden,
      int width,
      String format,
      String activation) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static final int ALL = 1 << 20;

  private static String compressed(String format, String weights, String inputs) {
    return """
    {'quant_method':'compressed-tensors','format':'%s','ignore':['lm_head','re:.*gate$'],
     'config_groups':{'group_0':{'targets':['Linear'],'weights':{%s},'input_activations':%s}}}\
    """
        .formatted(format, weights, inputs);
  }

  private static String ints(int bits, String rest) {
    return "'num_bits':%d,'type':'int',%s,'dynamic':false".formatted(bits, rest);
  }

  private static String modelOpt(String algorithm) {
    return "{'quant_method':'modelopt','quant_algo':'%s','exclude_modules':['lm_head']}"
        .formatted(algorithm);
  }

  private static final String TOKEN_FP8 =
      "{'num_bits':8,'type':'float','strategy':'token','dynamic':true,'symmetric':true}";

  static List<Case> cases() {
    List<Case> cases = new ArrayList<>();
    String block =
        "{'quant_method':'fp8','activation_scheme':'dynamic','weight_block_size':[%s]%s}";
    cases.add(
        new Case(
            "fp8, partial blocks",
            block.formatted("16, 24", ""),
            QuantMaker.grid(false, Scales.F32, "weight_scale_inv", 16, 24, 2),
            56,
            40,
            "e4m3 per 16x24, f32 scales",
            "e4m3 per 24 values, f32 scales"));
    cases.add(
        new Case(
            "fp8, one block larger than the matrix",
            block.formatted("128, 128", ",'fmt':'e4m3'"),
            QuantMaker.grid(false, Scales.BF16, "weight_scale_inv", 128, 128, 2),
            24,
            40,
            "e4m3 per 128x128, bf16 scales",
            "e4m3 per 128 values, f32 scales"));
    for (Scales scales : new Scales[] {Scales.E8M0, Scales.BYTES}) {
      cases.add(
          new Case(
              "fp8, ue8m0 as " + scales,
              block.formatted("16, 16", ",'scale_fmt':'ue8m0'"),
              QuantMaker.grid(false, scales, "weight_scale_inv", 16, 16, 2),
              40,
              24,
              "e4m3 per 16x16, e8m0 scales",
              "e4m3 per 16 values, e8m0 scales"));
    }
    cases.add(
        new Case(
            "fp8 per tensor, dynamic",
            "{'quant_method':'fp8','activation_scheme':'dynamic'}",
            QuantMaker.grid(false, Scales.F32, "weight_scale", ALL, ALL, 0),
            24,
            40,
            "e4m3 per tensor, f32 scales",
            "e4m3 per tensor, over all tokens"));
    cases.add(
        new Case(
            "fp8 per tensor, static",
            "{'quant_method':'fp8','activation_scheme':'static'}",
            QuantMaker.grid(false, Scales.F32, "weight_scale", ALL, ALL, 1)
                .with("input_scale", 0.25),
            24,
            40,
            "e4m3 per tensor, f32 scales",
            "e4m3 per tensor, 0.25"));
    cases.add(
        new Case(
            "fp8 per channel of quant_method fp8",
            "{'quant_method':'fp8'}",
            QuantMaker.grid(false, Scales.F32, "weight_scale", 1, ALL, 2),
            24,
            40,
            "e4m3 per 1xk, f32 scales",
            "e4m3 per tensor, over all tokens"));
    cases.add(
        new Case(
            "fbgemm_fp8",
            "{'quant_method':'fbgemm_fp8','activation_scale_ub':750.5}",
            QuantMaker.grid(false, Scales.F32, "weight_scale", 1, ALL, 2),
            24,
            40,
            "e4m3 per 1xk, f32 scales",
            "e4m3 per token, of magnitudes up to 750.5"));
    cases.add(
        new Case(
            "compressed-tensors fp8 block",
            compressed(
                "float-quantized",
                "'num_bits':8,'type':'float','strategy':'block','block_structure':[16,8]",
                "{'num_bits':8,'type':'float','strategy':'group','group_size':8,'dynamic':true}"),
            QuantMaker.grid(false, Scales.BF16, "weight_scale", 16, 8, 2),
            24,
            40,
            "e4m3 per 16x8, bf16 scales",
            "e4m3 per 8 values, f32 scales"));
    cases.add(
        new Case(
            "compressed-tensors int8 tensor",
            compressed(
                "int-quantized",
                ints(8, "'strategy':'tensor'"),
                "{'num_bits':8,'type':'int','strategy':'tensor','dynamic':true}"),
            QuantMaker.grid(true, Scales.F32, "weight_scale", ALL, ALL, 1),
            24,
            40,
            "int8 per tensor, f32 scales",
            "int8 per tensor, over all tokens"));
    cases.add(
        new Case(
            "compressed-tensors int8 channel, weight-only",
            compressed("int-quantized", ints(8, "'strategy':'channel'"), "null"),
            QuantMaker.grid(true, Scales.BF16, "weight_scale", 1, ALL, 2),
            24,
            40,
            "int8 per 1xk, bf16 scales",
            "f32"));
    addPacked(cases);
    addGptq(cases);
    addFp4(cases);
    for (int bits : new int[] {4, 8}) {
      cases.add(
          new Case(
              "awq, %d bits, partial group".formatted(bits),
              "{'quant_method':'awq','bits':%d,'group_size':32,'zero_point':true,'version':'gemm'}"
                  .formatted(bits),
              QuantMaker.awq(bits, 32),
              48,
              40,
              "uint%d per 1x32, f32 scales, zero points".formatted(bits),
              "f32"));
    }
    cases.add(
        new Case(
            "w4afp8",
            "{'quant_method':'w4afp8','activation_scheme':'dynamic','weight_block_size':[128,128]}",
            QuantMaker.int4().with("input_scale", 0.5),
            128,
            256,
            "uint4 per 1x128, bf16 scales",
            "e4m3 per tensor, 0.5"));
    addInt8(cases);
    return cases;
  }

  /** Int8 with a byte each, that kernels take as unsigned. */
  private static void addInt8(List<Case> cases) {
    String zeros = ",'symmetric':false";
    cases.add(
        new Case(
            "compressed-tensors int8 channel, zero points",
            compressed("int-quantized", ints(8, "'strategy':'channel'" + zeros), "null"),
            QuantMaker.int8(1, ALL, true, false),
            24,
            41,
            "uint8 per 1xk, bf16 scales, zero points",
            "f32"));
    cases.add(
        new Case(
            "compressed-tensors int8 tensor, zero points",
            compressed("int-quantized", ints(8, "'strategy':'tensor'" + zeros), "null"),
            QuantMaker.int8(ALL, ALL, true, false),
            24,
            40,
            "uint8 per tensor, bf16 scales, zero points",
            "f32"));
    String groups = "'strategy':'group','group_size':32";
    cases.add(
        new Case(
            "compressed-tensors int8 group, zero points, partial group",
            compressed("naive-quantized", ints(8, groups + zeros), "null"),
            QuantMaker.int8(1, 32, true, false),
            72,
            40,
            "uint8 per 1x32, bf16 scales, zero points",
            "f32"));
    cases.add(
        new Case(
            "compressed-tensors int8 group, zero points, act-order",
            compressed("int-quantized", ints(8, groups + zeros + ",'actorder':'group'"), "null"),
            QuantMaker.int8(1, 32, true, true),
            96,
            64,
            "uint8 per 1x32, bf16 scales, zero points, act-order",
            "f32"));
    cases.add(
        new Case(
            "compressed-tensors int8 group, act-order that only the tensors tell of",
            compressed("int-quantized", ints(8, groups), "null"),
            QuantMaker.int8(1, 32, false, true),
            96,
            64,
            "uint8 per 1x32, bf16 scales, act-order",
            "f32"));
  }

  private static void addPacked(List<Case> cases) {
    for (int bits : new int[] {4, 8}) {
      String codes = "uint" + bits;
      for (int group : new int[] {32, 64, 128}) {
        String strategy = "'strategy':'group','group_size':%d".formatted(group);
        cases.add(
            new Case(
                "pack-quantized %d bits, group %d".formatted(bits, group),
                compressed("pack-quantized", ints(bits, strategy), "null"),
                QuantMaker.packed(bits, group, false, false),
                192,
                136,
                "%s per 1x%d, bf16 scales".formatted(codes, group),
                "f32"));
      }
      cases.add(
          new Case(
              "pack-quantized %d bits, per channel, words with padding".formatted(bits),
              compressed("pack-quantized", ints(bits, "'strategy':'channel'"), "null"),
              QuantMaker.packed(bits, 0, false, false),
              22,
              10,
              codes + " per 1xk, bf16 scales",
              "f32"));
      cases.add(
          new Case(
              "pack-quantized %d bits, zero points, padded".formatted(bits),
              compressed(
                  "pack-quantized",
                  ints(bits, "'strategy':'group','group_size':16,'symmetric':false"),
                  "null"),
              QuantMaker.packed(bits, 16, true, false),
              36,
              21,
              codes + " per 1x16, bf16 scales, zero points",
              "f32"));
      cases.add(
          new Case(
              "pack-quantized %d bits, per channel, zero points".formatted(bits),
              compressed(
                  "pack-quantized", ints(bits, "'strategy':'channel','symmetric':false"), "null"),
              QuantMaker.packed(bits, 0, true, false),
              22,
              10,
              codes + " per 1xk, bf16 scales, zero points",
              "f32"));
      cases.add(
          new Case(
              "pack-quantized %d bits, zero points, act-order".formatted(bits),
              compressed(
                  "pack-quantized",
                  ints(
                      bits,
                      "'strategy':'group','group_size':32,'symmetric':false,'actorder':'group'"),
                  "null"),
              QuantMaker.packed(bits, 32, true, true),
              64,
              96,
              codes + " per 1x32, bf16 scales, zero points, act-order",
              "f32"));
      cases.add(
          new Case(
              "pack-quantized %d bits, act-order".formatted(bits),
              compressed(
                  "pack-quantized",
                  ints(bits, "'strategy':'group','group_size':32,'actorder':'group'"),
                  "null"),
              QuantMaker.packed(bits, 32, false, true),
              64,
              96,
              codes + " per 1x32, bf16 scales, act-order",
              "f32"));
    }
    cases.add(
        new Case(
            "pack-quantized 4 bits with fp8 inputs",
            compressed("pack-quantized", ints(4, "'strategy':'group','group_size':32"), TOKEN_FP8),
            QuantMaker.packed(4, 32, false, false),
            64,
            32,
            "uint4 per 1x32, bf16 scales",
            "e4m3 per token"));
  }

  private static void addGptq(List<Case> cases) {
    String settings =
        "{'quant_method':'gptq','bits':%d,'group_size':%d,'desc_act':%s,'sym':%s,'checkpoint_format':'%s'}";
    for (int bits : new int[] {4, 8}) {
      for (String version : new String[] {"gptq", "gptq_v2"}) {
        int stored = version.equals("gptq") ? -1 : 0;
        cases.add(
            new Case(
                "%s, %d bits, asymmetric, partial group".formatted(version, bits),
                settings.formatted(bits, 32, false, false, version),
                QuantMaker.gptq(bits, 32, false, stored, false),
                48,
                40,
                "uint%d per 1x32, bf16 scales, zero points".formatted(bits),
                "f32"));
        cases.add(
            new Case(
                "%s, %d bits, symmetric, labelled the other version".formatted(version, bits),
                settings.formatted(bits, 32, false, true, stored == 0 ? "gptq" : "gptq_v2"),
                QuantMaker.gptq(bits, 32, true, stored, false),
                64,
                32,
                "uint%d per 1x32, bf16 scales".formatted(bits),
                "f32"));
      }
      cases.add(
          new Case(
              "gptq, %d bits, act-order".formatted(bits),
              settings.formatted(bits, 32, true, false, "gptq"),
              QuantMaker.gptq(bits, 32, false, -1, true),
              64,
              96,
              "uint%d per 1x32, bf16 scales, zero points, act-order".formatted(bits),
              "f32"));
      cases.add(
          new Case(
              "gptq, %d bits, one group, act-order".formatted(bits),
              settings.formatted(bits, -1, true, true, "gptq"),
              QuantMaker.gptq(bits, 0, true, -1, false),
              24,
              40,
              "uint%d per 1xk, bf16 scales".formatted(bits),
              "f32"));
    }
  }

  private static void addFp4(List<Case> cases) {
    String floats =
        "'num_bits':4,'type':'float','strategy':'%s','group_size':%d,'symmetric':true,'dynamic':false";
    String nvfp4 = "e2m1 per 1x16, e4m3 scales";
    cases.add(
        new Case(
            "nvfp4-pack-quantized",
            compressed(
                "nvfp4-pack-quantized",
                floats.formatted("tensor_group", 16),
                "{'num_bits':4,'type':'float','strategy':'tensor_group','group_size':16,'dynamic':'local'}"),
            QuantMaker.fp4("weight_packed", "weight_global_scale", true)
                .with("input_global_scale", 64),
            48,
            32,
            nvfp4,
            "e2m1 per 16 values, e4m3 scales, 0.015625"));
    cases.add(
        new Case(
            "nvfp4-pack-quantized, weight-only",
            compressed("nvfp4-pack-quantized", floats.formatted("tensor_group", 16), "null"),
            QuantMaker.fp4("weight_packed", "weight_global_scale", true),
            48,
            32,
            nvfp4,
            "f32"));
    cases.add(
        new Case(
            "ModelOpt NVFP4",
            modelOpt("NVFP4"),
            QuantMaker.fp4("weight", "weight_scale_2", false).with("input_scale", 0.5),
            48,
            32,
            nvfp4,
            "e2m1 per 16 values, e4m3 scales, 0.5"));
    cases.add(
        new Case(
            "ModelOpt NVFP4, weight-only",
            modelOpt("W4A16_NVFP4"),
            QuantMaker.fp4("weight", "weight_scale_2", false),
            48,
            32,
            nvfp4,
            "f32"));
    cases.add(
        new Case(
            "ModelOpt FP8",
            modelOpt("FP8"),
            QuantMaker.grid(false, Scales.F32, "weight_scale", ALL, ALL, 0).with("input_scale", 2),
            24,
            40,
            "e4m3 per tensor, f32 scales",
            "e4m3 per tensor, 2.0"));
    cases.add(
        new Case(
            "ModelOpt FP8 per channel and token",
            modelOpt("FP8_PER_CHANNEL_PER_TOKEN"),
            QuantMaker.grid(false, Scales.F32, "weight_scale", 1, ALL, 1),
            24,
            40,
            "e4m3 per 1xk, f32 scales",
            "e4m3 per token"));
    cases.add(
        new Case(
            "ModelOpt FP8 per block, lower case",
            modelOpt("fp8_pb_wo"),
            QuantMaker.grid(false, Scales.F32, "weight_scale", 128, 128, 4),
            136,
            24,
            "e4m3 per 128x128, f32 scales",
            "f32"));
    cases.add(
        new Case(
            "ModelOpt MXFP8",
            modelOpt("MXFP8"),
            QuantMaker.grid(false, Scales.BYTES, "weight_scale", 1, 32, 2),
            64,
            96,
            "e4m3 per 1x32, e8m0 scales",
            "e4m3 per 32 values, e8m0 scales"));
    cases.add(
        new Case(
            "quant_method mxfp8",
            "{'quant_method':'mxfp8'}",
            QuantMaker.grid(false, Scales.E8M0, "weight_scale_inv", 1, 32, 2),
            64,
            32,
            "e4m3 per 1x32, e8m0 scales",
            "e4m3 per 32 values, e8m0 scales"));
    cases.add(
        new Case(
            "mxfp4-pack-quantized with fp8 inputs",
            compressed(
                "mxfp4-pack-quantized",
                floats.formatted("group", 32) + ",'scale_dtype':'torch.uint8'",
                "{'num_bits':8,'type':'float','strategy':'group','group_size':32,'dynamic':true,'scale_dtype':'torch.uint8'}"),
            QuantMaker.fp4("weight_packed", "", false),
            64,
            32,
            "e2m1 per 1x32, e8m0 scales",
            "e4m3 per 32 values, e8m0 scales"));
    cases.add(
        new Case(
            "mxfp4-pack-quantized with mxfp4 inputs",
            compressed(
                "mxfp4-pack-quantized",
                floats.formatted("group", 32),
                "{'num_bits':4,'type':'float','strategy':'group','group_size':32,'dynamic':true}"),
            QuantMaker.fp4("weight_packed", "", false),
            64,
            32,
            "e2m1 per 1x32, e8m0 scales",
            "e2m1 per 32 values, e8m0 scales"));
    cases.add(
        new Case(
            "mxfp8-quantized",
            compressed(
                "mxfp8-quantized",
                "'num_bits':8,'type':'float','strategy':'group','group_size':32,'scale_dtype':'torch.uint8'",
                "{'num_bits':8,'type':'float','strategy':'group','group_size':32,'dynamic':true,'scale_dtype':'torch.uint8'}"),
            QuantMaker.grid(false, Scales.BYTES, "weight_scale", 1, 32, 2),
            64,
            32,
            "e4m3 per 1x32, e8m0 scales",
            "e4m3 per 32 values, e8m0 scales"));
  }

  private static Stream<Case> stream() {
    return cases().stream();
  }

  @ParameterizedTest
  @MethodSource("stream")
  void readsWhatWasPacked(Case quantized, @TempDir Path folder) {
    double[][][] expected = write(quantized, folder);
    MoeLayer layer = Synthetic.open(folder).layer(0);
    assertThat(layer.formats().in().label()).isEqualTo(quantized.format());
    assertThat(layer.formats().down().label()).isEqualTo(quantized.format());
    assertThat(label(layer.schemes().input())).isEqualTo(quantized.activation());
    assertThat(label(layer.schemes().inner())).isEqualTo(quantized.activation());
    assertThat(layer.schemes().sharedInput()).isEqualTo(ScaledScheme.NONE);
    try (LayerTensors tensors = layer.open(Synthetic.CONF);
        Arena arena = Arena.ofConfined()) {
      for (int e = 0; e < EXPERTS; e++) {
        ExpertWeights expert = tensors.expert(e, arena);
        assertSame(expert.w1(), expected[3 * e], "gate of expert " + e);
        assertSame(expert.w3OrNull(), expected[3 * e + 1], "up of expert " + e);
        assertSame(expert.w2(), expected[3 * e + 2], "down of expert " + e);
        assertThat(expert.bytes())
            .as("bytes announced")
            .isEqualTo(
                2 * layer.formats().in().bytes(quantized.width(), quantized.hidden())
                    + layer.formats().down().bytes(quantized.hidden(), quantized.width()));
      }
    }
  }

  /** Writes the checkpoint. Weights of gate, up and down, expert by expert. */
  static double[][][] write(Case quantized, Path folder) {
    int hidden = quantized.hidden();
    int width = quantized.width();
    Random random = new Random(SEED);
    Synthetic.config(folder, Synthetic.mixtral(hidden, width, EXPERTS, quantized.settings()));
    SafetensorsWriter writer =
        new SafetensorsWriter()
            .addRandom("model.layers.0.block_sparse_moe.gate.weight", EXPERTS, hidden);
    double[][][] weights = new double[3 * EXPERTS][][];
    for (int i = 0; i < weights.length; i++) {
      String linear =
          "model.layers.0.block_sparse_moe.experts.%d.%s"
              .formatted(i / 3, List.of("w1", "w3", "w2").get(i % 3));
      weights[i] =
          i % 3 == 2
              ? quantized.maker().add(writer, linear, hidden, width, random)
              : quantized.maker().add(writer, linear, width, hidden, random);
    }
    writer.write(folder.resolve("model.safetensors"));
    return weights;
  }

  static String label(ScaledScheme scheme) {
    String label = scheme.scheme().label();
    if (scheme.needsAllTokens()) {
      return label + ", over all tokens";
    }
    return scheme.staticScaleOrNull() == null ? label : label + ", " + scheme.staticScaleOrNull();
  }

  static void assertSame(Weight actual, double[][] expected, String what) {
    assertThat(actual.rows()).isEqualTo(expected.length);
    assertThat(actual.cols()).isEqualTo(expected[0].length);
    for (int n = 0; n < expected.length; n++) {
      for (int k = 0; k < expected[n].length; k++) {
        double error = Math.abs(actual.value(n, k) - expected[n][k]);
        assertThat(error)
            .as("%s at (%d, %d), %s instead of %s", what, n, k, actual.value(n, k), expected[n][k])
            .isLessThanOrEqualTo(1e-12 * Math.abs(expected[n][k]));
      }
    }
  }
}
