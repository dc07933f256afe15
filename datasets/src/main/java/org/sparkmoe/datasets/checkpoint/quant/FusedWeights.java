package org.sparkmoe.datasets.checkpoint.quant;

import java.io.Serializable;
import java.lang.foreign.SegmentAllocator;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/**
 * The quantized experts of a layer in common tensors.
 *
 * @param gateUp 2I × H of each expert
 * @param down H × I of each
 * @param interleaved whether gate and up rows alternate instead of following each other; scales are
 *     then per row
 */
public record FusedWeights(FusedTensor gateUp, FusedTensor down, boolean interleaved)
    implements Serializable {

  /** The format of gate and up. */
  public QuantFormat in() {
    return gateUp.format();
  }

  /** The format of down. */
  public QuantFormat out() {
    return down.format();
  }

  /**
   * Reads one expert.
   *
   * @throws org.sparkmoe.datasets.InputException as {@link StoredWeight#read}
   */
  public ExpertWeights read(int expert, TensorBytes tensors, SegmentAllocator memory) {
    QuantizedMatrix both = gateUp.read(expert, tensors, memory);
    int width = both.rows() / 2;
    return ExpertWeights.gated(
        interleaved ? Rows.alternate(both, 0, memory) : Rows.of(both, 0, width),
        interleaved ? Rows.alternate(both, 1, memory) : Rows.of(both, width, width),
        down.read(expert, tensors, memory));
  }
}
