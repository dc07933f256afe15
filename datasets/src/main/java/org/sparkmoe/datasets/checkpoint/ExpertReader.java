package org.sparkmoe.datasets.checkpoint;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import org.sparkmoe.datasets.checkpoint.quant.Strided;
import org.sparkmoe.datasets.safetensors.TensorInfo;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;

/**
 * Reads one expert into the caller's memory and brings it into the canonical form, projections
 * [out, in] row-major in their stored width. In every layout the bytes of an expert's tensor lie
 * together; where they have another order they are read beside the result and copied.
 */
final class ExpertReader {
  private final OpenShards shards;
  private final int hidden;
  private final int width;

  ExpertReader(OpenShards shards, MoeLayerSpec spec) {
    this.shards = shards;
    this.hidden = spec.hidden();
    this.width = spec.intermediate();
  }

  ExpertWeights read(ExpertLayout layout, int expert, SegmentAllocator memory) {
    return switch (layout) {
      case ExpertLayout.PerExpert own ->
          ExpertWeights.gated(
              own.gates().get(expert).read(shards, memory),
              own.ups().get(expert).read(shards, memory),
              own.downs().get(expert).read(shards, memory));
      case ExpertLayout.Flat names ->
          ExpertWeights.gated(
              rows(names.gate(), (long) expert * width, width, hidden, memory),
              rows(names.up(), (long) expert * width, width, hidden, memory),
              transposed(rows(names.down(), (long) expert * width, width, hidden, memory), memory));
      case ExpertLayout.Fused names ->
          biased(fused(names, expert, memory), names.biasesOrNull(), expert);
      case ExpertLayout.FusedQuantized fused ->
          biased(fused.weights().read(expert, shards, memory), fused.biasesOrNull(), expert);
    };
  }

  /** The shared expert. */
  ExpertWeights read(LayerPlan.Shared shared, SegmentAllocator memory) {
    return ExpertWeights.gated(
        shared.gate().read(shards, memory),
        shared.up().read(shards, memory),
        shared.down().read(shards, memory));
  }

  /** A whole tensor of two dimensions as it is. */
  Matrix matrix(String tensor, int rows, int cols, SegmentAllocator memory) {
    return rows(tensor, 0, rows, cols, memory);
  }

  /** {@code count} values widened to f32, every {@code step}-th from {@code first} on. */
  float[] vector(String tensor, long first, int count, int step) {
    DType dtype = dtype(tensor);
    MemorySegment data = shards.data(tensor);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = dtype.get(data, first + (long) i * step);
    }
    return values;
  }

  private ExpertWeights fused(ExpertLayout.Fused names, int expert, SegmentAllocator memory) {
    // Gate and up of output i: 2i and 2i + 1 where interleaved, else i and I + i.
    int out = 2 * width;
    int step = names.interleaved() ? 2 : 1;
    int up = names.interleaved() ? 1 : width;
    if (names.transposed()) {
      Matrix both = rows(names.gateUp(), (long) expert * hidden, hidden, out, memory);
      return ExpertWeights.gated(
          strided(both, 0, width, hidden, step, out, memory),
          strided(both, up, width, hidden, step, out, memory),
          transposed(rows(names.down(), (long) expert * width, width, hidden, memory), memory));
    }
    Matrix both = rows(names.gateUp(), (long) expert * out, out, hidden, memory);
    Matrix w2 = rows(names.down(), (long) expert * hidden, hidden, width, memory);
    if (names.interleaved()) {
      return ExpertWeights.gated(
          strided(both, 0, width, hidden, 2L * hidden, 1, memory),
          strided(both, hidden, width, hidden, 2L * hidden, 1, memory),
          w2);
    }
    return ExpertWeights.gated(half(both, 0), half(both, 1), w2);
  }

  private ExpertWeights biased(
      ExpertWeights weights, ExpertLayout.FusedBiases biasesOrNull, int expert) {
    if (biasesOrNull == null) {
      return weights;
    }
    int step = biasesOrNull.interleaved() ? 2 : 1;
    int up = biasesOrNull.interleaved() ? 1 : width;
    long first = 2L * expert * width;
    return new ExpertWeights(
        weights.w1(),
        weights.w3OrNull(),
        weights.w2(),
        vector(biasesOrNull.gateUp(), first, width, step),
        vector(biasesOrNull.gateUp(), first + up, width, step),
        vector(biasesOrNull.down(), (long) expert * hidden, hidden, 1));
  }

  /** Reads rows {@code firstRow…} of a tensor with {@code cols} columns. */
  private Matrix rows(String tensor, long firstRow, int rows, int cols, SegmentAllocator memory) {
    DType dtype = dtype(tensor);
    MemorySegment data = memory.allocate(dtype.bytes((long) rows * cols), 64);
    shards.read(tensor, dtype.bytes(firstRow * cols), data);
    return new Matrix(data, dtype, rows, cols);
  }

  /** The upper (0) or lower (1) half of a matrix, without a copy. */
  private static Matrix half(Matrix both, int index) {
    long bytes = both.bytes() / 2;
    return new Matrix(
        both.data().asSlice(index * bytes, bytes), both.dtype(), both.rows() / 2, both.cols());
  }

  private static Matrix transposed(Matrix from, SegmentAllocator memory) {
    return strided(from, 0, from.cols(), from.rows(), 1, from.cols(), memory);
  }

  /** A copy with element (r, c) taken from {@code first + r · rowStep + c · colStep}. */
  private static Matrix strided(
      Matrix from,
      long first,
      int rows,
      int cols,
      long rowStep,
      long colStep,
      SegmentAllocator memory) {
    DType dtype = from.dtype();
    MemorySegment to = memory.allocate(dtype.bytes((long) rows * cols), 64);
    Strided.copy(dtype.bytes(), from.data(), first, rowStep, colStep, to, rows, cols);
    return new Matrix(to, dtype, rows, cols);
  }

  private DType dtype(String tensor) {
    TensorInfo info = shards.info(tensor);
    return info.dtype()
        .kernelType()
        .orElseThrow(() -> new IllegalStateException(info.name() + " was planned as " + info));
  }
}
