package org.sparkmoe.datasets.checkpoint.write;

import java.lang.foreign.SegmentAllocator;
import java.util.List;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.quant.weight.WeightError;
import org.sparkmoe.kernels.quant.weight.WeightQuantizer;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.Weight;

/** Quantizes the projections of one expert. */
final class Projections {
  private final int layer;
  private final WeightQuantizer quantizer;

  Projections(int layer, WeightQuantizer quantizer) {
    this.layer = layer;
    this.quantizer = quantizer;
  }

  /**
   * A projection.
   *
   * @param weight after quantizing
   * @param error what that cost
   */
  record Result(QuantizedMatrix weight, TensorError error) {}

  /**
   * Gate and up, which share a global scale: kernels that compute both in one product have one
   * global scale for them.
   *
   * @param kind precedes the projection's name in reports
   * @throws InputException where a weight is not finite
   */
  List<Result> inputs(
      String kind, ExpertModules.Names names, ExpertWeights expert, SegmentAllocator memory) {
    Matrix gate = plain(names.gate(), expert.w1());
    Matrix up = plain(names.up(), expert.w3().orElseThrow());
    float amax = Math.max(amax(names.gate(), gate), amax(names.up(), up));
    return List.of(
        quantize(kind + "gate", names.gate(), gate, amax, memory),
        quantize(kind + "up", names.up(), up, amax, memory));
  }

  /** Down; otherwise as {@link #inputs}. */
  Result down(
      String kind, ExpertModules.Names names, ExpertWeights expert, SegmentAllocator memory) {
    Matrix down = plain(names.down(), expert.w2());
    return quantize(kind + "down", names.down(), down, amax(names.down(), down), memory);
  }

  private Result quantize(
      String projection, String name, Matrix matrix, float amax, SegmentAllocator memory) {
    QuantizedMatrix weight = quantizer.quantize(matrix, quantizer.inverseGlobal(amax), memory);
    return new Result(
        weight,
        new TensorError(
            layer, projection, name, matrix.rows(), matrix.cols(), WeightError.of(matrix, weight)));
  }

  private static float amax(String name, Matrix matrix) {
    float amax = WeightQuantizer.amax(matrix);
    if (!Float.isFinite(amax)) {
      throw new InputException(
          "weight %s holds %s; every weight must be finite, use a checkpoint that is whole"
              .formatted(Quoted.of(name), Float.isNaN(amax) ? "a NaN" : "an infinity"));
    }
    return amax;
  }

  private static Matrix plain(String name, Weight weight) {
    if (weight instanceof Matrix matrix) {
      return matrix;
    }
    throw new InputException(
        "weight %s is quantized already (%s); start from the model's unquantized weights"
            .formatted(Quoted.of(name), weight.format().label()));
  }
}
