package org.sparkmoe.job.plan;

import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.udfs.plan.Reduction;

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
 * @param reduction in which order slots are summed, which decides what lanes can sum
 * @param ranges whether lanes hold ranges of experts
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
    Reduction reduction,
    boolean ranges) {

  /** The work of {@code tokens} tokens through a layer. */
  public static Workload of(
      MoeLayerSpec spec,
      long expertBytes,
      long tokens,
      int partitions,
      TokenBytes token,
      int passes,
      int batchTokens,
      Reduction reduction,
      boolean ranges) {
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
        reduction,
        ranges);
  }
}
