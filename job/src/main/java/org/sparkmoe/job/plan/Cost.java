package org.sparkmoe.job.plan;

/**
 * What one way of running costs, as estimated.
 *
 * @param mode the way
 * @param lanes lanes of expert parallelism; 0 where replicated
 * @param weightBytes weights that one executor holds
 * @param repacks how often an executor packs its weights again, because the store does not hold
 *     them
 * @param loadSeconds reading and packing the weights
 * @param dispatchBytes bytes of the first shuffle, uncompressed
 * @param combineBytes bytes of the second shuffle, uncompressed
 * @param shuffleSeconds both shuffles
 * @param streamSeconds reading weights from memory, once per batch
 * @param computeSeconds expert arithmetic
 */
public record Cost(
    DispatchMode mode,
    int lanes,
    long weightBytes,
    double repacks,
    double loadSeconds,
    long dispatchBytes,
    long combineBytes,
    double shuffleSeconds,
    double streamSeconds,
    double computeSeconds) {

  /**
   * The sum that modes are compared by. Streaming hides behind arithmetic, or the other way round.
   */
  public double seconds() {
    return loadSeconds + shuffleSeconds + Math.max(streamSeconds, computeSeconds);
  }
}
