package org.sparkmoe.udfs.sql;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.unsafe.Platform;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Widening;
import org.sparkmoe.udfs.tokens.Vectors;

/** Spark's arrays of floats from and to Java's, copied as a whole. */
final class FloatArrays {
  /** What functions return. */
  static final DataType TYPE = DataTypes.createArrayType(DataTypes.FloatType, false);

  /** As Spark keeps them. */
  private static final ValueLayout.OfFloat NATIVE_FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

  private static final ValueLayout.OfInt NATIVE_BITS = ValueLayout.JAVA_INT_UNALIGNED;

  /** Elements that stay in the nearest cache while they are converted. */
  private static final int CHUNK = 512;

  private FloatArrays() {}

  /** The values; NaN for a null, which the job reports as an error of the row. */
  static float[] of(ArrayData array) {
    float[] values = array.toFloatArray();
    if (mayHoldNulls(array)) {
      for (int i = 0; i < values.length; i++) {
        if (array.isNullAt(i)) {
          values[i] = Float.NaN;
        }
      }
    }
    return values;
  }

  /**
   * Whether to look at each element: in Spark's own layout 64 of them have one word of null bits.
   */
  private static boolean mayHoldNulls(ArrayData array) {
    if (!(array instanceof UnsafeArrayData packed)) {
      return true;
    }
    int header = UnsafeArrayData.calculateHeaderPortionInBytes(packed.numElements());
    for (int at = Long.BYTES; at < header; at += Long.BYTES) {
      if (Platform.getLong(packed.getBaseObject(), packed.getBaseOffset() + at) != 0) {
        return true;
      }
    }
    return false;
  }

  static ArrayData of(float[] values) {
    return UnsafeArrayData.fromPrimitiveArray(values);
  }

  /** Elements of {@code dtype}, a whole number of them, widened where the array keeps them. */
  static ArrayData decode(byte[] vector, DType dtype) {
    int elements = vector.length / dtype.bytes();
    int header = UnsafeArrayData.calculateHeaderPortionInBytes(elements);
    byte[] packed = new byte[Math.toIntExact(roundUp(header + DType.F32.bytes(elements)))];
    Platform.putLong(packed, Platform.BYTE_ARRAY_OFFSET, elements);
    MemorySegment from = MemorySegment.ofArray(vector);
    MemorySegment to = MemorySegment.ofArray(packed).asSlice(header, DType.F32.bytes(elements));
    switch (dtype) {
      case F32 -> MemorySegment.copy(from, DType.LE_FLOAT, 0, to, NATIVE_FLOAT, 0, elements);
      case BF16, F16 -> widen(from, dtype, to, elements);
    }
    UnsafeArrayData array = new UnsafeArrayData();
    array.pointTo(packed, Platform.BYTE_ARRAY_OFFSET, packed.length);
    return array;
  }

  /** The values, rounded to {@code dtype}, little-endian; a null is NaN. */
  static byte[] encode(ArrayData array, DType dtype) {
    if (!(array instanceof UnsafeArrayData packed)
        || !(packed.getBaseObject() instanceof byte[] bytes)
        || mayHoldNulls(packed)) {
      return Vectors.encode(of(array), dtype);
    }
    int elements = packed.numElements();
    long at = packed.getBaseOffset() - Platform.BYTE_ARRAY_OFFSET;
    MemorySegment from =
        MemorySegment.ofArray(bytes)
            .asSlice(
                at + UnsafeArrayData.calculateHeaderPortionInBytes(elements),
                DType.F32.bytes(elements));
    byte[] encoded = new byte[Math.toIntExact(dtype.bytes(elements))];
    MemorySegment to = MemorySegment.ofArray(encoded);
    switch (dtype) {
      case F32 -> MemorySegment.copy(from, NATIVE_FLOAT, 0, to, DType.LE_FLOAT, 0, elements);
      case BF16, F16 -> narrow(from, dtype, to, elements);
    }
    return encoded;
  }

  /**
   * Through arrays: over those, and over the bits of a float as an int, the loops are compiled to
   * vector instructions.
   */
  private static void widen(MemorySegment from, DType dtype, MemorySegment to, int elements) {
    short[] narrow = new short[Math.min(elements, CHUNK)];
    int[] bits = new int[narrow.length];
    for (int at = 0; at < elements; at += CHUNK) {
      int count = Math.min(CHUNK, elements - at);
      MemorySegment.copy(from, DType.LE_SHORT, 2L * at, narrow, 0, count);
      Widening.widen(dtype, narrow, bits, count);
      MemorySegment.copy(bits, 0, to, NATIVE_BITS, 4L * at, count);
    }
  }

  private static void narrow(MemorySegment from, DType dtype, MemorySegment to, int elements) {
    float[] wide = new float[Math.min(elements, CHUNK)];
    short[] narrow = new short[wide.length];
    for (int at = 0; at < elements; at += CHUNK) {
      int count = Math.min(CHUNK, elements - at);
      MemorySegment.copy(from, NATIVE_FLOAT, 4L * at, wide, 0, count);
      for (int i = 0; i < count; i++) {
        narrow[i] =
            dtype == DType.BF16 ? DType.floatToBf16(wide[i]) : Float.floatToFloat16(wide[i]);
      }
      MemorySegment.copy(narrow, 0, to, DType.LE_SHORT, 2L * at, count);
    }
  }

  /** To whole words, as Spark's rows are made of. */
  private static long roundUp(long bytes) {
    return (bytes + Long.BYTES - 1) / Long.BYTES * Long.BYTES;
  }
}
