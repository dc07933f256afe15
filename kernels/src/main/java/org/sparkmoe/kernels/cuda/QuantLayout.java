package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.ScaleType;

/**
 * Where the parts of a quantized matrix lie on the GPU: codes in rows padded to {@code stride}
 * columns, scales and zero points as {@link QuantizedMatrix} has them, and, for scales of one byte,
 * the 256 numbers that they stand for.
 *
 * @param rows N
 * @param cols K
 * @param stride K, padded
 */
record QuantLayout(QuantFormat format, int rows, int cols, int stride) implements WeightLayout {
  private static final int TABLE = 256;
  private static final int LOOKED_UP = 3;
  private static final int CHUNK = 8;

  /** Of a stage of the kernels. */
  private static final int CHUNKS = 8;

  private long rowBytes() {
    return format.codes().bytes(stride);
  }

  private long count() {
    return format.scaleCount(rows, cols);
  }

  private boolean looksUp() {
    return format.scales().bytes() == 1;
  }

  private long scalesAt() {
    return Gpu.aligned(rows * rowBytes());
  }

  private long zerosAt() {
    return scalesAt() + Gpu.aligned(count() * format.scales().bytes());
  }

  private long tableAt() {
    return zerosAt() + Gpu.aligned(format.zeros() ? count() : 0);
  }

  @Override
  public long bytes() {
    return tableAt() + (looksUp() ? (long) TABLE * Float.BYTES : 0);
  }

  /** Struct {@code Coding} of {@code coded.cu}. */
  @Override
  public MemorySegment argument(Arena arena) {
    return arena.allocateFrom(
        JAVA_INT,
        format.rowSpan(),
        format.colSpan(),
        format.groups(cols),
        scaleKind(),
        Math.toIntExact(scalesAt()),
        format.zeros() ? Math.toIntExact(zerosAt()) : 0,
        Math.toIntExact(tableAt()),
        format.codes().zero(),
        chunks());
  }

  /** Neighbouring chunks of eight columns that share a scale, wherever a multiple of it starts. */
  private int chunks() {
    return format.colSpan() == QuantFormat.ALL
        ? CHUNKS
        : Math.min(CHUNKS, Integer.lowestOneBit(format.colSpan() / CHUNK));
  }

  private int scaleKind() {
    return switch (format.scales()) {
      case F32 -> 0;
      case BF16 -> 1;
      case F16 -> 2;
      case E4M3, E8M0 -> LOOKED_UP;
    };
  }

  /**
   * The matrix as it lies on the GPU.
   *
   * @throws IllegalArgumentException where scales of 16 bits have a global one beside them: their
   *     products are f32, for which there is no room
   */
  @Override
  public MemorySegment image(QuantizedMatrix matrix, Arena arena) {
    MemorySegment image = arena.allocate(bytes(), Long.BYTES);
    long stored = format.codes().bytes(cols);
    for (int row = 0; row < rows; row++) {
      MemorySegment.copy(matrix.codes(), row * stored, image, row * rowBytes(), stored);
    }
    MemorySegment scales = image.asSlice(scalesAt(), count() * format.scales().bytes());
    if (matrix.global() == 1 || looksUp()) {
      scales.copyFrom(matrix.scales());
    } else if (format.scales() == ScaleType.F32) {
      for (long i = 0; i < count(); i++) {
        scales.setAtIndex(JAVA_FLOAT, i, product(matrix, matrix.scales(), i));
      }
    } else {
      throw new IllegalArgumentException(
          "weights stored as %s with a global scale do not run on cuda; use onednn or vector"
              .formatted(format.label()));
    }
    if (format.zeros()) {
      image.asSlice(zerosAt(), count()).copyFrom(matrix.zerosOrNull());
    }
    if (looksUp()) {
      byte[] every = new byte[TABLE];
      for (int code = 0; code < TABLE; code++) {
        every[code] = (byte) code;
        image.set(
            JAVA_FLOAT, tableAt() + 4L * code, product(matrix, MemorySegment.ofArray(every), code));
      }
    }
    return image;
  }

  private float product(QuantizedMatrix matrix, MemorySegment scales, long index) {
    return (float) ((double) format.scales().get(scales, index) * matrix.global());
  }
}
