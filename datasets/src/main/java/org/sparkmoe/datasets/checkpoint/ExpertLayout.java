package org.sparkmoe.datasets.checkpoint;

import java.io.Serializable;
import java.util.Collection;
import java.util.List;
import java.util.stream.Stream;
import org.sparkmoe.datasets.checkpoint.quant.FusedWeights;
import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;
import org.sparkmoe.kernels.layer.ExpertFormats;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.WeightFormat;

/**
 * How a layer's routed experts lie in tensors; H hidden, I width, E experts. All names are full.
 */
sealed interface ExpertLayout extends Serializable {

  /** How experts are stored; where they differ, the largest. */
  ExpertFormats formats();

  /** The format that takes most bytes. */
  static WeightFormat largest(Collection<StoredWeight> weights) {
    StoredWeight largest = null;
    long most = -1;
    for (StoredWeight weight : weights) {
      long bytes = weight.format().bytes(weight.rows(), weight.cols());
      if (bytes > most) {
        most = bytes;
        largest = weight;
      }
    }
    return largest.format();
  }

  /**
   * Three linear maps for each expert, each stored in its own way: gate and up [I, H], down [H, I].
   *
   * @param gates by expert
   * @param ups likewise
   * @param downs likewise
   */
  record PerExpert(List<StoredWeight> gates, List<StoredWeight> ups, List<StoredWeight> downs)
      implements ExpertLayout {
    public PerExpert {
      gates = List.copyOf(gates);
      ups = List.copyOf(ups);
      downs = List.copyOf(downs);
    }

    @Override
    public ExpertFormats formats() {
      return new ExpertFormats(
          largest(Stream.concat(gates.stream(), ups.stream()).toList()), largest(downs));
    }
  }

  /**
   * All experts in two tensors that are not quantized: gate and up together, and down.
   *
   * @param transposed false: [E, 2I, H] and [E, H, I]; true: [E, H, 2I] and [E, I, H]
   * @param interleaved whether gate and up alternate instead of following each other
   * @param gateUpType element type of the first
   * @param downType of the second
   * @param biasesOrNull of the experts
   */
  record Fused(
      String gateUp,
      String down,
      boolean transposed,
      boolean interleaved,
      DType gateUpType,
      DType downType,
      FusedBiases biasesOrNull)
      implements ExpertLayout {
    @Override
    public ExpertFormats formats() {
      return new ExpertFormats(gateUpType, downType);
    }
  }

  /**
   * All experts in two quantized tensors and their scales.
   *
   * @param biasesOrNull of the experts
   */
  record FusedQuantized(FusedWeights weights, FusedBiases biasesOrNull) implements ExpertLayout {
    @Override
    public ExpertFormats formats() {
      return new ExpertFormats(weights.in(), weights.out());
    }
  }

  /**
   * Biases of all experts in two tensors.
   *
   * @param gateUp [E, 2I]
   * @param down [E, H]
   * @param interleaved whether those of gate and up alternate instead of following each other
   */
  record FusedBiases(String gateUp, String down, boolean interleaved) implements Serializable {}

  /** DBRX: [E·I, H] for each projection; the down projection is stored by inputs, not outputs. */
  record Flat(String gate, String up, String down, DType inType, DType downType)
      implements ExpertLayout {
    @Override
    public ExpertFormats formats() {
      return new ExpertFormats(inType, downType);
    }
  }
}
