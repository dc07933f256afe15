package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.Weight;

/**
 * The projections of an expert in the memory of a GPU: addresses, 0 for what is absent.
 *
 * @param memory holds them all, as long as its arena
 * @param note what {@link Products#note} keeps
 */
public record GpuExpert(
    GpuShape shape,
    MemorySegment memory,
    long w1,
    long w3,
    long w2,
    long b1,
    long b3,
    long b2,
    long note) {

  /**
   * Copies an expert to {@code gpu}.
   *
   * @param w1 I × H, stored as {@code shape} says, like the others
   * @param w3OrNull absent where the shape is not gated
   * @param arena owns the memory on the GPU
   * @throws CudaException where the GPU has no room, with what is free
   */
  public static GpuExpert upload(
      Gpu gpu,
      GpuShape shape,
      Weight w1,
      Weight w3OrNull,
      Weight w2,
      float[] b1OrNull,
      float[] b3OrNull,
      float[] b2OrNull,
      Arena arena) {
    // Closed in this order: copies end before what they are taken from goes.
    try (Arena staging = Arena.ofConfined();
        Gpu.Upload copies = gpu.upload()) {
      MemorySegment memory = gpu.allocate(shape.bytes(), arena);
      Writer writer = new Writer(copies, staging, memory.address());
      // w3 behind w1: kernels read both as one tensor.
      long first = writer.weight(w1, shape.paddedHidden(), shape.innerBytes());
      long third =
          w3OrNull == null ? 0 : writer.weight(w3OrNull, shape.paddedHidden(), shape.innerBytes());
      long second = writer.weight(w2, shape.paddedIntermediate(), shape.outerBytes());
      return new GpuExpert(
          shape,
          memory,
          first,
          third,
          second,
          writer.bias(b1OrNull),
          writer.bias(b3OrNull),
          writer.bias(b2OrNull),
          writer.put(
              gpu.kernels().products(shape).note(shape, first, second, staging),
              GpuShape.NOTE_BYTES));
    }
  }

  /** Bytes on the GPU. */
  public long bytes() {
    return memory.byteSize();
  }

  /** Puts parts behind each other. */
  private static final class Writer {
    private final Gpu.Upload copies;
    private final Arena staging;
    private long next;

    Writer(Gpu.Upload copies, Arena staging, long start) {
      this.copies = copies;
      this.staging = staging;
      this.next = start;
    }

    long weight(Weight weight, int stride, long bytes) {
      return switch (weight) {
        case Matrix plain -> matrix(plain, stride, bytes);
        case QuantizedMatrix quantized -> put(image(quantized, stride), bytes);
      };
    }

    private MemorySegment image(QuantizedMatrix matrix, int stride) {
      return WeightLayout.of(matrix.format(), matrix.rows(), matrix.cols(), stride)
          .image(matrix, staging);
    }

    private long matrix(Matrix matrix, int stride, long bytes) {
      MemorySegment data = matrix.data();
      if (matrix.cols() != stride) {
        long rowBytes = matrix.dtype().bytes(matrix.cols());
        long strideBytes = matrix.dtype().bytes(stride);
        data = staging.allocate(matrix.rows() * strideBytes, Float.BYTES);
        for (int row = 0; row < matrix.rows(); row++) {
          MemorySegment.copy(matrix.data(), row * rowBytes, data, row * strideBytes, rowBytes);
        }
      }
      return put(data, bytes);
    }

    long bias(float[] valuesOrNull) {
      if (valuesOrNull == null) {
        return 0;
      }
      MemorySegment data = staging.allocateFrom(DType.LE_FLOAT, valuesOrNull);
      return put(data, GpuShape.biasBytes(valuesOrNull.length));
    }

    long put(MemorySegment data, long bytes) {
      long at = next;
      copies.put(data, at);
      next += bytes;
      return at;
    }
  }
}
