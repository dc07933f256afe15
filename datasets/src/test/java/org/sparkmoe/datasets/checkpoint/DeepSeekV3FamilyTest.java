package org.sparkmoe.datasets.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.nio.charset.StandardCharsets;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.kernels.layer.SharedExpertSpec;
import org.sparkmoe.kernels.router.GroupLimit;
import org.sparkmoe.kernels.router.Normalization;
import org.sparkmoe.kernels.router.Scoring;
import org.sparkmoe.kernels.router.TopKRule;

/** The words that models with DeepSeek-V3's router use for the same things. */
final class DeepSeekV3FamilyTest {
  private static final String COMMON =
      "'hidden_size':8,'moe_intermediate_size':4,'num_hidden_layers':6,'norm_topk_prob':true";

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "'model_type':'kimi_k2','n_routed_experts':8,'num_experts_per_tok':2,'n_group':1,'topk_group':1,'routed_scaling_factor':2.827,'n_shared_experts':1,'first_k_dense_replace':1,'scoring_func':'sigmoid','topk_method':'noaux_tc','moe_layer_freq':1"
            + " | 1 | 2.827 | 4",
        "'model_type':'mimo_v2_flash','n_routed_experts':8,'num_experts_per_tok':2,'routed_scaling_factor':null,'n_shared_experts':null,'moe_layer_freq':[0,0,1,1,1,1]"
            + " | 2 | 1 | 0",
        "'model_type':'exaone_moe','num_experts':8,'num_experts_per_tok':2,'routed_scaling_factor':2.5,'num_shared_experts':2"
            + " | 1 | 2.5 | 8",
        "'model_type':'glm_moe_dsa','n_routed_experts':8,'num_experts_per_tok':2,'routed_scaling_factor':2.5,'n_shared_experts':1,'mlp_layer_types':['dense','dense','sparse','sparse','sparse','sparse']"
            + " | 2 | 2.5 | 4",
        "'model_type':'kimi_linear','num_experts':8,'num_experts_per_token':2,'routed_scaling_factor':2.446,'num_shared_experts':1,'num_expert_group':1,'moe_router_activation_func':'sigmoid'"
            + " | 1 | 2.446 | 4",
      })
  void readsEveryModelsWords(String json, int dense, double scale, int shared) {
    ModelConfig config = config(json);
    Family family = Families.of(config);
    assertThat(IntStream.range(0, 6).filter(n -> family.sparse(config, n)))
        .containsExactlyElementsOf(IntStream.range(dense, 6).boxed().toList());
    LayerRecipe recipe = family.recipe(config, 5);
    assertThat(recipe.selectionBias()).isTrue();
    assertThat(recipe.spec().experts()).isEqualTo(8);
    assertThat(recipe.spec().routing())
        .isEqualTo(
            new TopKRule(2, Scoring.SIGMOID, null, new Normalization.Sum(1e-20, 0), scale, false));
    assertThat(recipe.spec().sharedOrNull())
        .isEqualTo(shared == 0 ? null : new SharedExpertSpec(shared, false));
  }

  /**
   * transformers 5 once left dots1's bias out (huggingface/transformers#42546). The model is
   * published with {@code noaux_tc}, so the bias takes part here; the fixture's reference, of
   * transformers 5.17, agrees.
   */
  @Test
  void dots1ChoosesWithItsBias() {
    ModelConfig config =
        config(
            "'model_type':'dots1','n_routed_experts':8,'num_experts_per_tok':2,'n_group':4,"
                + "'topk_group':2,'routed_scaling_factor':2.5");
    LayerRecipe recipe = Families.of(config).recipe(config, 0);
    assertThat(recipe.selectionBias()).isTrue();
    assertThat(((TopKRule) recipe.spec().routing()).groups())
        .contains(new GroupLimit(4, 2, GroupLimit.Score.TOP2_SUM));
  }

  @ParameterizedTest
  @CsvSource({"scoring_func, softmax", "topk_method, greedy", "moe_router_activation_func, relu"})
  void refusesOtherRouters(String key, String value) {
    ModelConfig config = config("'model_type':'deepseek_v3','%s':'%s'".formatted(key, value));
    assertThatExceptionOfType(InputException.class)
        .isThrownBy(() -> Families.of(config))
        .withMessageContaining(key + " \"" + value + "\"");
  }

  private static ModelConfig config(String keys) {
    String json = "{" + COMMON + "," + keys + "}";
    return ModelConfig.parse(
        "config.json", json.replace('\'', '"').getBytes(StandardCharsets.UTF_8));
  }
}
