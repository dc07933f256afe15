package org.sparkmoe.datasets.checkpoint.write;

/** Told of the progress of {@link CheckpointQuantizer}, by one thread. */
public interface QuantizeListener {

  /**
   * A projection of an expert was written.
   *
   * @param error what that cost
   * @param written bytes of weights written so far
   * @param total bytes there will be
   */
  void written(TensorError error, long written, long total);
}
