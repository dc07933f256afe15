package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.kernels.router.SparseMixerRule;

/** Phi-3.5-MoE: sparsemixer, which is defined for two experts per token. */
final class PhimoeFamily implements Family {
  @Override
  public Set<String> modelTypes() {
    return Set.of("phimoe");
  }

  @Override
  public void check(ModelConfig config) {
    Family.super.check(config);
    config.expectInteger("num_experts_per_tok", 2);
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    return true;
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    // Unlike Mixtral's key of the same name it acts at inference too.
    float jitter = (float) config.number("router_jitter_noise", 0.01, 1e-9);
    return LayerRecipe.of(Sizes.spec(config, "intermediate_size", new SparseMixerRule(jitter)));
  }
}
