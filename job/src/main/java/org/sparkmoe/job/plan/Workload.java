package org.sparkmoe.job.plan;

import org.sparkmoe.kernels.layer.MoeLayerSpec;

/**
 * The size of the work, for costs.
 *
 * @param tokens T
 * @param partitions input partitions
 * @param hidden H
 * @param topK k
 * @param experts E
 * @param shared whether there is a shared expert
 * @param expertBytes weights of all experts as stored
 * @param expertFlops floating-point operations of one expert for one token
 * @param token bytes of one dispatched token
 * @param passes how often the experts run over all tokens: twice where their intermediates are
 *     measured before they can be quantized
 * @param batchTokens tokens that a task computes together
 * @param lanesReduce whether a lane sums a token's slots before they travel
 */
public record Workload(
    long tokens,
    int partitions,
    int hidden,
    int topK,
    int experts,
    boolean shared,
    long expertBytes,
    double expertFlops,
    TokenBytes token,
    int passes,
    int batchTokens,
    boolean lanesReduce) {

  /** The work of {@code tokens} tokens through a layer. */
  public static Workload of(
      MoeLayerSpec spec,
      long expertBytes,
      long tokens,
      int partitions,
      TokenBytes token,
      int passes,
      int batchTokens,
      boolean lanesReduce) {
    return new Workload(
        tokens,
        partitions,
        spec.hidden(),
        spec.topK(),
        spec.experts(),
        spec.shared().isPresent(),
        expertBytes,
        spec.expertFlops(),
        token,
        passes,
        batchTokens,
        lanesReduce);
  }
}
