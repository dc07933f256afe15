package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.router.TopKRule;

/** gpt-oss: top k of the logits, softmax over those; biases everywhere and its own activation. */
final class GptOssFamily implements Family {
  @Override
  public Set<String> modelTypes() {
    return Set.of("gpt_oss");
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    return true;
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    int topK = config.integer(1, MAX_EXPERTS, "num_experts_per_tok", "experts_per_token");
    // Its hidden_act says silu, which the model does not use.
    float limit = (float) config.number("swiglu_limit", 7, Float.MIN_NORMAL);
    return LayerRecipe.of(
            Sizes.spec(
                config,
                Sizes.hidden(config),
                Sizes.width(config, "intermediate_size"),
                Sizes.experts(config),
                TopKRule.softmaxOverTopK(topK),
                Activation.swigluOai(limit),
                null))
        .fused(LayerRecipe.FusedOrder.INTERLEAVED_COLUMNS)
        .withRouterAndExpertBias();
  }
}
