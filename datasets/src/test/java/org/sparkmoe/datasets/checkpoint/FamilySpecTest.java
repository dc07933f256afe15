package org.sparkmoe.datasets.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.layer.SharedExpertSpec;
import org.sparkmoe.kernels.router.GroupLimit;
import org.sparkmoe.kernels.router.Normalization;
import org.sparkmoe.kernels.router.RoutingRule;
import org.sparkmoe.kernels.router.Scoring;
import org.sparkmoe.kernels.router.SparseMixerRule;
import org.sparkmoe.kernels.router.TopKRule;

/** What each fixture's configuration is understood to mean, and a value of each layout. */
final class FamilySpecTest {
  private static final Configuration CONF = new Configuration(false);

  private static TopKRule sigmoid(int topK, double epsilon, double scale) {
    return new TopKRule(
        topK, Scoring.SIGMOID, null, new Normalization.Sum(epsilon, 0), scale, false);
  }

  private static Arguments family(
      String family, int width, int experts, RoutingRule rule, SharedExpertSpec shared) {
    return Arguments.of(
        family, new MoeLayerSpec(64, width, experts, rule, Activation.SILU, shared));
  }

  private static Stream<Arguments> specs() {
    SharedExpertSpec narrow = new SharedExpertSpec(40, false);
    TopKRule grouped = TopKRule.softmax(4, false).withScalingFactor(16);
    return Stream.of(
        family(
            "deepseek_v2",
            40,
            16,
            grouped.withGroups(new GroupLimit(4, 2, GroupLimit.Score.MAX)),
            new SharedExpertSpec(80, false)),
        family(
            "deepseek_v3",
            40,
            16,
            sigmoid(4, 1e-20, 2.5).withGroups(new GroupLimit(4, 2, GroupLimit.Score.TOP2_SUM)),
            narrow),
        family("dots1", 40, 16, sigmoid(4, 1e-20, 2.5), narrow),
        family(
            "ernie4_5_moe",
            40,
            16,
            new TopKRule(4, Scoring.SOFTMAX, null, new Normalization.Sum(0, 1e-12), 1, false),
            narrow),
        family("flex_olmo", 48, 8, TopKRule.softmax(4, false), null),
        family(
            "glm4_moe",
            40,
            16,
            sigmoid(4, 1e-20, 1.5).withGroups(new GroupLimit(2, 1, GroupLimit.Score.TOP2_SUM)),
            narrow),
        Arguments.of(
            "gpt_oss",
            new MoeLayerSpec(
                64, 96, 8, TopKRule.softmaxOverTopK(4), Activation.swigluOai(7), null)),
        family("granitemoe", 48, 8, TopKRule.softmaxOverTopK(2), null),
        family("hunyuan_v1_moe", 48, 8, TopKRule.softmax(2, true), new SharedExpertSpec(48, false)),
        family("jamba", 80, 8, TopKRule.softmax(2, false), null),
        family("jetmoe", 80, 8, TopKRule.softmaxOverTopK(2), null),
        family("lfm2_moe", 40, 8, sigmoid(2, 1e-6, 1), null),
        family("llama4", 48, 8, TopKRule.sigmoidOnInput(), new SharedExpertSpec(48, false)),
        family("minimax", 80, 8, TopKRule.softmax(2, true), null),
        family("minimax_m2", 80, 8, sigmoid(2, 0, 1), null),
        family("mixtral", 80, 8, TopKRule.softmax(2, true), null),
        family("olmoe", 48, 16, TopKRule.softmax(4, false), null),
        family("phimoe", 80, 8, new SparseMixerRule(0.01f), null),
        family("qwen2_moe", 48, 12, TopKRule.softmax(4, false), new SharedExpertSpec(96, true)),
        family("qwen3_moe", 40, 16, TopKRule.softmax(4, true), null),
        family("qwen3_next", 40, 16, TopKRule.softmax(4, true), new SharedExpertSpec(40, true)));
  }

  @Test
  void coversEveryFixture() {
    assertThat(specs().map(arguments -> (String) arguments.get()[0]))
        .containsExactlyElementsOf(Fixtures.families());
  }

  @ParameterizedTest
  @MethodSource("specs")
  void readsTheSpec(String family, MoeLayerSpec expected) {
    Checkpoint checkpoint = Checkpoint.open(Fixtures.folder(family).toString(), CONF);
    assertThat(checkpoint.family()).isEqualTo(family.equals("llama4") ? "llama4_text" : family);
    MoeLayer layer = checkpoint.layer(1);
    assertThat(layer.spec()).isEqualTo(expected);
    assertThat(layer.module()).startsWith("model.layers.1.");
    assertThat(layer.fingerprint()).matches("[0-9a-f]{64}");
    assertThat(layer.storedBytes()).isPositive();
    List<Integer> moe =
        Fixtures.blocks().stream()
            .filter(block -> block.family().equals(family))
            .map(Fixtures.Block::layer)
            .toList();
    assertThat(checkpoint.moeLayers()).isEqualTo(moe.isEmpty() ? List.of(0, 1) : moe);
    assertThat(checkpoint.layers().keySet()).containsExactly(0, 1);
  }

  @Test
  void placesValuesOfEveryLayout() {
    String mixtral = "model.layers.0.block_sparse_moe.experts.2.";
    assertElement("mixtral", mixtral + "w1.weight", 3L * 64 + 5, 1);
    assertElement("mixtral", mixtral + "w3.weight", 3L * 64 + 5, 3);
    assertElement("mixtral", mixtral + "w2.weight", 3L * 80 + 5, 2);
    String granite = "model.layers.0.block_sparse_moe.";
    assertElement("granitemoe", granite + "input_linear.weight", (2L * 96 + 3) * 64 + 5, 1);
    assertElement("granitemoe", granite + "input_linear.weight", (2L * 96 + 48 + 3) * 64 + 5, 3);
    assertElement("granitemoe", granite + "output_linear.weight", (2L * 64 + 3) * 48 + 5, 2);
    String llama = "model.layers.0.feed_forward.experts.";
    assertElement("llama4", llama + "gate_up_proj", (2L * 64 + 5) * 96 + 3, 1);
    assertElement("llama4", llama + "gate_up_proj", (2L * 64 + 5) * 96 + 48 + 3, 3);
    assertElement("llama4", llama + "down_proj", (2L * 48 + 5) * 64 + 3, 2);
    String oss = "model.layers.0.mlp.experts.";
    assertElement("gpt_oss", oss + "gate_up_proj", (2L * 64 + 5) * 192 + 6, 1);
    assertElement("gpt_oss", oss + "gate_up_proj", (2L * 64 + 5) * 192 + 7, 3);
    assertElement("gpt_oss", oss + "down_proj", (2L * 96 + 5) * 64 + 3, 2);
  }

  @Test
  void splitsInterleavedBiases() {
    try (LayerTensors tensors = open("gpt_oss");
        SafetensorsFile file = model("gpt_oss")) {
      ExpertWeights expert = tensors.expert(2, Arena.ofAuto());
      String bias = "model.layers.0.mlp.experts.gate_up_proj_bias";
      assertThat(expert.b1OrNull()[3]).isEqualTo(element(file, bias, 2L * 192 + 6));
      assertThat(expert.b3OrNull()[3]).isEqualTo(element(file, bias, 2L * 192 + 7));
      assertThat(expert.b2OrNull()).hasSize(64);
      assertThat(tensors.routerBias().orElseThrow()).hasSize(8);
    }
  }

  /** Element (3, 5) of projection {@code w}1, 2 or 3 of expert 2. */
  private static void assertElement(String family, String name, long index, int w) {
    try (LayerTensors tensors = open(family);
        SafetensorsFile file = model(family)) {
      ExpertWeights weights = tensors.expert(2, Arena.ofAuto());
      float actual =
          switch (w) {
            case 1 -> (float) weights.w1().value(3, 5);
            case 2 -> (float) weights.w2().value(3, 5);
            default -> (float) weights.w3OrNull().value(3, 5);
          };
      assertThat(actual).as(name).isEqualTo(element(file, name, index));
    }
  }

  private static LayerTensors open(String family) {
    return Checkpoint.open(Fixtures.folder(family).toString(), CONF).layer(0).open(CONF);
  }

  private static SafetensorsFile model(String family) {
    return SafetensorsFile.open(Fixtures.folder(family).resolve("model.safetensors"));
  }

  private static float element(SafetensorsFile file, String name, long index) {
    return file.tensor(name).dtype().kernelType().orElseThrow().get(file.data(name), index);
  }
}
