package org.sparkmoe.datasets.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.datasets.checkpoint.QuantCases.Case;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.quant.ScaledScheme;
import org.sparkmoe.kernels.tensor.Weight;

/** Every format with a tensor for each expert, read and compared with what was packed. */
final class QuantFormatsTest {
  private static final long SEED = 20_240_611;
  private static final int EXPERTS = 3;

  private static Stream<Case> stream() {
    return QuantCases.cases().stream();
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
