package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.router.Normalization;
import org.sparkmoe.kernels.router.Scoring;
import org.sparkmoe.kernels.router.TopKRule;

/** DBRX: softmax, the chosen weights divided by their Lp norm. */
final class DbrxFamily implements Family {
  @Override
  public Set<String> modelTypes() {
    return Set.of("dbrx");
  }

  @Override
  public int layers(ModelConfig config) {
    return config.integer(1, MAX_LAYERS, "n_layers", "num_hidden_layers");
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    return true;
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    ModelConfig ffn = config.child("ffn_config");
    String p = "moe_normalize_expert_weights";
    Normalization normalization =
        ffn.isNull(p)
            ? Normalization.NONE
            : new Normalization.Lp(ffn.number(p, 1, Double.MIN_NORMAL));
    TopKRule routing =
        new TopKRule(
            ffn.integer(1, MAX_EXPERTS, "moe_top_k"),
            Scoring.SOFTMAX,
            null,
            normalization,
            1,
            false);
    Activation activation =
        ffn.has("ffn_act_fn") ? Activations.of(ffn.child("ffn_act_fn"), "name") : Activation.SILU;
    return LayerRecipe.of(
        Sizes.spec(
            config,
            config.integer(1, MAX_WIDTH, "d_model", "hidden_size"),
            ffn.integer(1, MAX_WIDTH, "ffn_hidden_size"),
            ffn.integer(1, MAX_EXPERTS, "moe_num_experts"),
            routing,
            activation,
            null));
  }
}
