package org.sparkmoe.kernels.experts;

/** How dispatched tokens lie in memory. */
public enum ActivationFormat {
  /** Tokens × H, with routes saying which experts each row goes to. */
  STANDARD,
  /** Local experts × maxTokens × H, with a count per expert; rows past a count are garbage. */
  BATCHED_EXPERTS
}
