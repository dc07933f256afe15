package org.sparkmoe.kernels.router;

/**
 * Sparsemixer of Phi-3.5-MoE at inference: two rounds of "drop what is far below the maximum,
 * softmax the rest, take the maximum", the first winner excluded from the second. The two weights
 * do not sum to one.
 *
 * <p>With m the maximum of the remaining logits s, expert e is dropped when {@code (m - s_e) /
 * max(|s_e|, m) > 2 * jitter}.
 *
 * @param jitter {@code router_jitter_noise} of the configuration, 0.01 in the released models
 */
public record SparseMixerRule(float jitter) implements RoutingRule {

  public SparseMixerRule {
    if (!(jitter > 0)) {
      throw new IllegalArgumentException("sparsemixer jitter " + jitter + " must be positive");
    }
  }

  @Override
  public int topK() {
    return 2;
  }

  @Override
  public boolean weightOnInput() {
    return false;
  }
}
