package org.sparkmoe.udfs.sql;

import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;

/** Spark's arrays of floats from and to Java's, copied as a whole. */
final class FloatArrays {
  /** What functions return. */
  static final DataType TYPE = DataTypes.createArrayType(DataTypes.FloatType, false);

  private FloatArrays() {}

  /** The values; NaN for a null, which the job reports as an error of the row. */
  static float[] of(ArrayData array) {
    float[] values = array.toFloatArray();
    for (int i = 0; i < values.length; i++) {
      if (array.isNullAt(i)) {
        values[i] = Float.NaN;
      }
    }
    return values;
  }

  static ArrayData of(float[] values) {
    return UnsafeArrayData.fromPrimitiveArray(values);
  }
}
