package org.sparkmoe.datasets.checkpoint;

import static org.sparkmoe.datasets.checkpoint.QuantCases.ALL;
import static org.sparkmoe.datasets.checkpoint.QuantCases.TOKEN_FP8;
import static org.sparkmoe.datasets.checkpoint.QuantCases.compressed;
import static org.sparkmoe.datasets.checkpoint.QuantCases.ints;

import java.util.List;
import org.sparkmoe.datasets.checkpoint.QuantCases.Case;

/** Checkpoints with integer weights: int8 of bytes, packed integers of compressed-tensors, GPTQ. */
final class IntCases {
  private IntCases() {}

  static void addTo(List<Case> cases) {
    addPacked(cases);
    addGptq(cases);
    addInt8(cases);
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
}
