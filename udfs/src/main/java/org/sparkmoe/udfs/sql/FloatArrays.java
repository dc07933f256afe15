package org.sparkmoe.udfs.sql;

import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.unsafe.Platform;

/** Spark's arrays of floats from and to Java's, copied as a whole. */
final class FloatArrays {
  /** What functions return. */
  static final DataType TYPE = DataTypes.createArrayType(DataTypes.FloatType, false);

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
}
