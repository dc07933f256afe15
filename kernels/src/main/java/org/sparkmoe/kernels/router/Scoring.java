package org.sparkmoe.kernels.router;

/** How logits become the scores among which the top k are chosen. */
public enum Scoring {
  /** {@code p = softmax(l)} over all experts. */
  SOFTMAX,
  /** {@code s = 1 / (1 + exp(-l))}, each expert on its own. */
  SIGMOID,
  /** The logits themselves. */
  LOGITS
}
