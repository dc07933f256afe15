package org.sparkmoe.datasets.checkpoint.write;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.checkpoint.LayerTensors;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.kernels.experts.ScalarExpertKernel;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/** Quantize, load, run: the layer that comes back computes what the scheme's weights allow. */
final class RoundTripTest {
  private static final Configuration CONF = new Configuration(false);
  private static final int TOKENS = 40;

  /** What a row of the layer's output may differ by, in units of the weights' largest error. */
  private static final double SPREAD = 4;

  /** The error of the activations' codes, where the scheme has them. */
  private static final Map<String, Double> ACTIVATIONS =
      Map.of("fp8-block", 0.03, "fp8-channel", 0.03, "int8", 0.01);

  @TempDir Path folder;

  static Stream<Arguments> fixtures() {
    Stream<Arguments> all =
        Stream.of(
                "qwen2_moe",
                "deepseek_v3",
                "granitemoe",
                "llama4",
                "mixtral",
                "jetmoe",
                "hunyuan_v1_moe",
                "minimax_m2")
            .flatMap(
                family ->
                    Stream.of("fp8-block", "fp8-channel", "int8")
                        .map(scheme -> Arguments.of(family, scheme)));
    return Stream.concat(
        all,
        Stream.of(
            Arguments.of("qwen2_moe", "nvfp4"),
            Arguments.of("granitemoe", "nvfp4"),
            Arguments.of("llama4", "nvfp4"),
            Arguments.of("gpt_oss", "mxfp4")));
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void familiesComeBack(String family, String scheme) {
    roundTrip(Fixtures.folder(family), scheme);
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
  void schemesComeBack(String scheme) throws IOException {
    Path source = Files.createDirectory(folder.resolve("source"));
    Models.mixtral(source, 384, 256, 0, DType.BF16);
    roundTrip(source, scheme);
  }

  @ParameterizedTest
  @ValueSource(strings = {"fp8-block", "int8", "w4a16-g32", "nvfp4", "mxfp4"})
  void rareLayoutsComeBack(String scheme) throws IOException {
    Path granite = Files.createDirectory(folder.resolve("granite"));
    Models.granite(granite);
    roundTrip(granite, scheme);
    Path dbrx = Files.createDirectory(folder.resolve("dbrx"));
    Models.dbrx(dbrx);
    roundTrip(dbrx, scheme);
  }

  private void roundTrip(Path source, String scheme) {
    Checkpoint before = Checkpoint.open(source.toString(), CONF);
    Map<Integer, Double> worst = new HashMap<>();
    Path output = folder.resolve(source.getFileName() + "-" + scheme);
    CheckpointQuantizer.plan(before, Scheme.of(scheme), 1 << 20, CONF)
        .write(
            output.toString(),
            false,
            2,
            (error, written, total) ->
                worst.merge(error.layer(), error.error().relative(), Math::max));
    Checkpoint after = Checkpoint.open(output.toString(), CONF);
    assertThat(after.moeLayers()).isEqualTo(before.moeLayers());
    for (int index : before.moeLayers()) {
      MoeLayer plain = before.layer(index);
      MoeLayer quantized = after.layer(index);
      int hidden = plain.spec().hidden();
      float[] input = new float[TOKENS * hidden];
      Random random = new Random(index);
      for (int i = 0; i < input.length; i++) {
        input[i] = (float) random.nextGaussian();
      }
      int[] plainIds = new int[TOKENS * plain.spec().topK()];
      int[] ids = new int[plainIds.length];
      float[] expected = run(plain, input, plainIds);
      float[] actual = run(quantized, input, ids);
      assertThat(ids).isEqualTo(plainIds);
      double limit = SPREAD * (worst.get(index) + ACTIVATIONS.getOrDefault(scheme, 0.0));
      double[] errors = errors(actual, expected, hidden);
      Arrays.sort(errors);
      assertThat(errors[TOKENS - 1])
          .as("%s, layer %d, seed %d", scheme, index, index)
          .isBetween(worst.get(index) / 4, limit);
    }
  }

  private static float[] run(MoeLayer layer, float[] input, int[] ids) {
    try (Arena arena = Arena.ofShared();
        LayerTensors tensors = layer.open(CONF);
        PreparedLayer prepared =
            PreparedLayer.prepare(
                layer.spec(),
                tensors,
                new ScalarExpertKernel(),
                layer.schemes().codecs(),
                ExpertStore.unbounded())) {
      float[] output = new float[input.length];
      Workspace ws = prepared.kernel().workspace(prepared.workspaceBytes(TOKENS), arena);
      prepared.route(TOKENS, MemorySegment.ofArray(input), ids, new float[ids.length], ws);
      prepared.forward(TOKENS, MemorySegment.ofArray(input), MemorySegment.ofArray(output), ws);
      return output;
    }
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
    }
    return errors;
  }
}
