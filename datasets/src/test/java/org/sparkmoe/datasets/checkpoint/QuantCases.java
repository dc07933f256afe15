package org.sparkmoe.datasets.checkpoint;

import java.util.ArrayList;
import java.util.List;
import org.sparkmoe.datasets.checkpoint.QuantMaker.Scales;

/** Checkpoints of every format with a tensor for each expert, and what is read of them. */
final class QuantCases {
  private QuantCases() {}

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

  static final int ALL = 1 << 20;

  static String compressed(String format, String weights, String inputs) {
    return """
    {'quant_method':'compressed-tensors','format':'%s','ignore':['lm_head','re:.*gate$'],
     'config_groups':{'group_0':{'targets':['Linear'],'weights':{%s},'input_activations':%s}}}\
    """
        .formatted(format, weights, inputs);
  }

  static String ints(int bits, String rest) {
    return "'num_bits':%d,'type':'int',%s,'dynamic':false".formatted(bits, rest);
  }

  static String modelOpt(String algorithm) {
    return "{'quant_method':'modelopt','quant_algo':'%s','exclude_modules':['lm_head']}"
        .formatted(algorithm);
  }

  static final String TOKEN_FP8 =
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
    IntCases.addTo(cases);
    return cases;
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
}
