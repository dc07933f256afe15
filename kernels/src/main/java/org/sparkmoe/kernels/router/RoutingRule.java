package org.sparkmoe.kernels.router;

import java.io.Serializable;

/**
 * How a layer turns router logits into {@code topk_ids} and {@code topk_weights}. A value: it
 * carries every constant of the family, no tensors.
 */
public sealed interface RoutingRule extends Serializable permits TopKRule, SparseMixerRule {

  /** Experts chosen per token. */
  int topK();

  /**
   * Whether the weight multiplies the expert's input instead of its output (Llama 4). It is then
   * applied before any quantization, and nowhere else.
   */
  boolean weightOnInput();
}
