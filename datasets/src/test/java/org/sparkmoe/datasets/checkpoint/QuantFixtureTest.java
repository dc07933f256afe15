package org.sparkmoe.datasets.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;
import org.sparkmoe.kernels.experts.ScalarExpertKernel;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/** Every quantized fixture against its reference, which emulates the format in f64. */
final class QuantFixtureTest {
  /** What f32 inputs, outputs and router weights leave between two exact computations. */
  private static final double EXACT = 1e-5;

  /** Rows in which a tie, or what f32 makes of one, is rounded the other way. */
  private static final double TIE = 1e-2;

  private static final double MEDIAN = 1e-3;

  /**
   * What is expected of a fixture.
   *
   * @param formats of the experts
   * @param a1 label of the input's scheme
   * @param a2 label of the inner scheme
   */
  private record Expected(String formats, String a1, String a2) {}

  private static final Map<String, Expected> EXPECTED = new HashMap<>();

  static {
    String block = "e4m3 per 128 values, f32 scales";
    EXPECTED.put("awq_g64", new Expected("uint4 per 1x64, f16 scales, zero points", "f32", "f32"));
    EXPECTED.put("fp8_block128", new Expected("e4m3 per 128x128, f32 scales", block, block));
    EXPECTED.put(
        "fp8_channel_token",
        new Expected("e4m3 per 1xk, bf16 scales", "e4m3 per token", "e4m3 per token"));
    EXPECTED.put(
        "fp8_tensor_static",
        new Expected("e4m3 per tensor, f32 scales", "e4m3 per tensor", "e4m3 per tensor"));
    EXPECTED.put("gpt_oss_mxfp4", new Expected("e2m1 per 1x32, e8m0 scales", "f32", "f32"));
    EXPECTED.put("gptq_g64", new Expected("uint4 per 1x64, f16 scales, zero points", "f32", "f32"));
    EXPECTED.put(
        "int8_w8a8", new Expected("int8 per 1xk, f32 scales", "int8 per token", "int8 per token"));
    String nvfp4 = "e2m1 per 16 values, e4m3 scales";
    EXPECTED.put("nvfp4_w4a4", new Expected("e2m1 per 1x16, e4m3 scales", nvfp4, nvfp4));
    EXPECTED.put("w4a16_ct_g128", new Expected("uint4 per 1x128, bf16 scales", "f32", "f32"));
  }

  private static Stream<String> fixtures() {
    return Fixtures.quantized().stream();
  }

  @Test
  void coversEveryFixture() {
    assertThat(EXPECTED.keySet()).containsExactlyInAnyOrderElementsOf(Fixtures.quantized());
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void plansFormatsAndSchemes(String name) {
    MoeLayer layer = layer(name, 0);
    Expected expected = EXPECTED.get(name);
    assertThat(layer.formats().in().label()).isEqualTo(expected.formats());
    assertThat(layer.formats().down().label()).isEqualTo(expected.formats());
    assertThat(layer.schemes().input().scheme().label()).isEqualTo(expected.a1());
    assertThat(layer.schemes().inner().scheme().label()).isEqualTo(expected.a2());
    assertThat(layer.schemes().needsAllTokens()).isFalse();
    assertThat(layer.sharedFormats()).isEmpty();
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void agreesWithReference(String name) {
    for (int n : layers(name)) {
      MoeLayer layer = layer(name, n);
      boolean exact = layer.schemes().codecs().areIdentity();
      try (SafetensorsFile reference = reference(name)) {
        String module = "model.layers." + n + ".mlp";
        float[] input = ReferenceRoutes.floats(reference, module + ".input");
        float[] expected = ReferenceRoutes.floats(reference, module + ".output");
        int hidden = layer.spec().hidden();
        int[] ids = new int[input.length / hidden * layer.spec().topK()];
        float[] output = run(layer, layer.schemes().codecs(), input, ids);
        if (reference.tensors().containsKey("topk_ids")) {
          assertThat(sorted(ids, layer.spec().topK()))
              .isDeepEqualTo(sorted(ids(reference), layer.spec().topK()));
        }
        double[] errors = errors(output, expected, hidden);
        Arrays.sort(errors);
        double median = errors[errors.length / 2];
        double worst = errors[errors.length - 1];
        String figures =
            "%s layer %d: per-row relative L2 median %.2e, largest %.2e"
                .formatted(name, n, median, worst);
        assertThat(worst).as(figures).isLessThanOrEqualTo(exact ? EXACT : TIE);
        assertThat(median).as(figures).isLessThanOrEqualTo(exact ? EXACT : MEDIAN);
      }
    }
  }

  /** Two layers of gpt-oss, one of the others. */
  private static List<Integer> layers(String name) {
    return name.equals("gpt_oss_mxfp4") ? List.of(0, 1) : List.of(0);
  }

  private static MoeLayer layer(String name, int n) {
    return Checkpoint.open(Fixtures.quant(name).toString(), Synthetic.CONF).layer(n);
  }

  private static SafetensorsFile reference(String name) {
    return SafetensorsFile.open(Fixtures.quant(name).resolve("reference.safetensors"));
  }

  private static float[] run(MoeLayer layer, LayerCodecs codecs, float[] input, int[] ids) {
    try (Arena arena = Arena.ofShared();
        LayerTensors tensors = layer.open(Synthetic.CONF);
        PreparedLayer prepared =
            PreparedLayer.prepare(
                layer.spec(), tensors, new ScalarExpertKernel(), codecs, ExpertStore.unbounded())) {
      int tokens = input.length / layer.spec().hidden();
      float[] output = new float[input.length];
      Workspace ws = prepared.kernel().workspace(prepared.workspaceBytes(tokens), arena);
      prepared.route(tokens, MemorySegment.ofArray(input), ids, new float[ids.length], ws);
      prepared.forward(tokens, MemorySegment.ofArray(input), MemorySegment.ofArray(output), ws);
      return output;
    }
  }

  private static int[] ids(SafetensorsFile reference) {
    MemorySegment data = reference.data("topk_ids");
    int[] ids = new int[(int) data.byteSize() / Integer.BYTES];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = Float.floatToRawIntBits(DType.F32.get(data, i));
    }
    return ids;
  }

  private static int[][] sorted(int[] ids, int topK) {
    int[][] rows = new int[ids.length / topK][];
    for (int row = 0; row < rows.length; row++) {
      rows[row] = Arrays.copyOfRange(ids, row * topK, (row + 1) * topK);
      Arrays.sort(rows[row]);
    }
    return rows;
  }

  private static double[] errors(float[] actual, float[] expected, int cols) {
    double[] errors = new double[expected.length / cols];
    for (int row = 0; row < errors.length; row++) {
      double difference = 0;
      double norm = 0;
      for (int i = row * cols; i < (row + 1) * cols; i++) {
        difference += Math.pow((double) actual[i] - expected[i], 2);
        norm += Math.pow(expected[i], 2);
      }
      errors[row] = Math.sqrt(difference / norm);
      assertThat(errors[row]).as("row %d", row).isNotNaN();
    }
    return errors;
  }
}
