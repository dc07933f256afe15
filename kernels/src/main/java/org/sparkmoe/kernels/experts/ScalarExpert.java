package org.sparkmoe.kernels.experts;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.Weight;

/** An expert as stored, in a copy. */
record ScalarExpert(ExpertWeights weights, Activation activation, ActivationCodec inner)
    implements PreparedExpert {

  static ScalarExpert copy(
      ExpertWeights weights, Activation activation, ActivationCodec inner, Arena arena) {
    PackedExpert.requireFit(weights, activation);
    return new ScalarExpert(
        new ExpertWeights(
            copy(weights.w1(), arena),
            weights.w3().map(w3 -> copy(w3, arena)).orElse(null),
            copy(weights.w2(), arena),
            weights.b1OrNull(),
            weights.b3OrNull(),
            weights.b2OrNull()),
        activation,
        inner);
  }

  private static Weight copy(Weight weight, Arena arena) {
    return switch (weight) {
      case Matrix m -> new Matrix(copy(m.data(), arena), m.dtype(), m.rows(), m.cols());
      case QuantizedMatrix q ->
          new QuantizedMatrix(
              copy(q.codes(), arena),
              q.format(),
              q.rows(),
              q.cols(),
              copy(q.scales(), arena),
              q.global(),
              q.zerosOrNull() == null ? null : copy(q.zerosOrNull(), arena),
              q.groupOfOrNull());
    };
  }

  private static MemorySegment copy(MemorySegment data, Arena arena) {
    return arena.allocate(data.byteSize(), 64).copyFrom(data);
  }

  @Override
  public int hidden() {
    return weights.hidden();
  }

  @Override
  public int intermediate() {
    return weights.intermediate();
  }

  @Override
  public long computedRows(int rows) {
    return rows;
  }

  @Override
  public long bytes() {
    return weights.bytes();
  }
}
