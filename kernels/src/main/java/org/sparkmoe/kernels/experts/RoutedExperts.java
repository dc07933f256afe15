package org.sparkmoe.kernels.experts;

import org.sparkmoe.kernels.tensor.Activations;

/**
 * Router and routed experts of a layer in one pass over the tokens, where a kernel has both in one
 * place. Thread-safe.
 */
public interface RoutedExperts {
  /**
   * Chooses the experts of each token and sums what they make of it, weighed.
   *
   * @param x tokens × H, of any type
   * @param bank asked only for experts that have rows
   * @param out receives tokens × H, rounded to its type once; must not overlap {@code x}
   */
  void apply(int tokens, Activations x, ExpertBank bank, Activations out);
}
