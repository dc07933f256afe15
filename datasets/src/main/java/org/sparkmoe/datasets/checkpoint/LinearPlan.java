package org.sparkmoe.datasets.checkpoint;

import org.sparkmoe.datasets.checkpoint.quant.PlainWeight;
import org.sparkmoe.datasets.checkpoint.quant.SlicedWeight;
import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;
import org.sparkmoe.kernels.tensor.QuantFormat;

/**
 * A linear map as planned.
 *
 * @param weight where it is
 * @param activation how its input is quantized
 * @param scaleOrNull the tensor with the static scale of its input, where the rule has one
 */
record LinearPlan(StoredWeight weight, ActivationRule activation, TensorRef scaleOrNull) {

  /**
   * The map to some of the outputs.
   *
   * @param first output
   * @param rows outputs
   * @param tensors for messages
   */
  LinearPlan rows(int first, int rows, ModuleTensors tensors) {
    if (weight instanceof PlainWeight plain) {
      return new LinearPlan(
          new PlainWeight(
              plain.tensor(), plain.firstRow() + first, plain.format(), rows, plain.cols()),
          activation,
          scaleOrNull);
    }
    int span = ((QuantFormat) weight.format()).rowSpan();
    if (span != QuantFormat.ALL && first % span != 0) {
      throw tensors.bad(
          "a linear map has blocks of %d rows with both gate and up, which is not supported"
              .formatted(span));
    }
    return new LinearPlan(new SlicedWeight(weight, first, rows), activation, scaleOrNull);
  }
}
