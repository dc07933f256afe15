package org.sparkmoe.datasets.checkpoint;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.datasets.safetensors.TensorInfo;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;

/**
 * Brings one expert into the canonical form, projections [out, in] row-major in their stored type.
 * Where the file has that form the matrices are views of it; transposed and interleaved tensors are
 * copied into the arena.
 */
final class ExpertReader {
  private final OpenShards shards;
  private final Arena arena;
  private final int hidden;
  private final int width;

  ExpertReader(OpenShards shards, MoeLayerSpec spec, Arena arena) {
    this.shards = shards;
    this.arena = arena;
    this.hidden = spec.hidden();
    this.width = spec.intermediate();
  }

  ExpertWeights read(ExpertLayout layout, int expert) {
    return switch (layout) {
      case ExpertLayout.PerExpert names ->
          ExpertWeights.gated(
              view(names.gate(expert), 0, width, hidden),
              view(names.up(expert), 0, width, hidden),
              view(names.down(expert), 0, hidden, width));
      case ExpertLayout.Flat names ->
          ExpertWeights.gated(
              view(names.gate(), (long) expert * width, width, hidden),
              view(names.up(), (long) expert * width, width, hidden),
              strided(names.down(), (long) expert * width * hidden, hidden, width, 1, hidden));
      case ExpertLayout.Fused names -> fused(names, expert);
    };
  }

  /** The shared expert, {@code shared} wide. */
  ExpertWeights read(LayerPlan.Shared names, int shared) {
    boolean fused = names.upOrNull() == null;
    return ExpertWeights.gated(
        view(names.gate(), 0, shared, hidden),
        view(fused ? names.gate() : names.upOrNull(), fused ? shared : 0, shared, hidden),
        view(names.down(), 0, hidden, shared));
  }

  /** A whole tensor of two dimensions as it is. */
  Matrix matrix(String tensor, int rows, int cols) {
    return view(tensor, 0, rows, cols);
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

  private ExpertWeights fused(ExpertLayout.Fused names, int expert) {
    // Gate and up of output i: 2i and 2i + 1 where interleaved, else i and I + i.
    int step = names.interleaved() ? 2 : 1;
    int up = names.interleaved() ? 1 : width;
    long gateUpFirst = (long) expert * 2 * width * hidden;
    long downFirst = (long) expert * hidden * width;
    int out = 2 * width;
    Matrix w1;
    Matrix w3;
    Matrix w2;
    if (names.transposed()) {
      w1 = strided(names.gateUp(), gateUpFirst, width, hidden, step, out);
      w3 = strided(names.gateUp(), gateUpFirst + up, width, hidden, step, out);
      w2 = strided(names.down(), downFirst, hidden, width, 1, hidden);
    } else {
      long rows = (long) expert * out;
      if (names.interleaved()) {
        long next = gateUpFirst + hidden;
        w1 = strided(names.gateUp(), gateUpFirst, width, hidden, 2L * hidden, 1);
        w3 = strided(names.gateUp(), next, width, hidden, 2L * hidden, 1);
      } else {
        w1 = view(names.gateUp(), rows, width, hidden);
        w3 = view(names.gateUp(), rows + width, width, hidden);
      }
      w2 = view(names.down(), (long) expert * hidden, hidden, width);
    }
    if (names.gateUpBiasOrNull() == null) {
      return ExpertWeights.gated(w1, w3, w2);
    }
    long biasFirst = (long) expert * out;
    return new ExpertWeights(
        w1,
        w3,
        w2,
        vector(names.gateUpBiasOrNull(), biasFirst, width, step),
        vector(names.gateUpBiasOrNull(), biasFirst + up, width, step),
        vector(names.downBiasOrNull(), (long) expert * hidden, hidden, 1));
  }

  /** Rows {@code firstRow…} of a tensor with {@code cols} columns, without a copy. */
  private Matrix view(String tensor, long firstRow, int rows, int cols) {
    DType dtype = dtype(tensor);
    MemorySegment data =
        shards.data(tensor).asSlice(dtype.bytes(firstRow * cols), dtype.bytes((long) rows * cols));
    return new Matrix(data, dtype, rows, cols);
  }

  /** A copy with element (r, c) taken from {@code first + r · rowStep + c · colStep}. */
  private Matrix strided(
      String tensor, long first, int rows, int cols, long rowStep, long colStep) {
    DType dtype = dtype(tensor);
    MemorySegment from = shards.data(tensor);
    MemorySegment to = arena.allocate(dtype.bytes((long) rows * cols), 64);
    Strided.copy(dtype, from, first, rowStep, colStep, to, rows, cols);
    return new Matrix(to, dtype, rows, cols);
  }

  private DType dtype(String tensor) {
    TensorInfo info = shards.info(tensor);
    return info.dtype()
        .kernelType()
        .orElseThrow(() -> new IllegalStateException(info.name() + " was planned as " + info));
  }
}
