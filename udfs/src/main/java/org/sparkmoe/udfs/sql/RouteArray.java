package org.sparkmoe.udfs.sql;

import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.Platform;

/**
 * The routes of one token as Spark's {@code ARRAY<STRUCT<expert_id INT, topk_weight FLOAT>>},
 * written in Spark's own layout: no object per slot, no boxed value.
 */
final class RouteArray {
  static final DataType TYPE =
      DataTypes.createArrayType(
          new StructType()
              .add("expert_id", DataTypes.IntegerType, false)
              .add("topk_weight", DataTypes.FloatType, false),
          false);

  /** A row of two fields: a word of null bits, then a word for each. */
  private static final int ROW_BYTES = 24;

  private static final int FIRST_FIELD = 8;
  private static final int SECOND_FIELD = 16;

  private RouteArray() {}

  static ArrayData of(int[] ids, float[] weights) {
    int slots = ids.length;
    int header = UnsafeArrayData.calculateHeaderPortionInBytes(slots);
    int rows = header + slots * Long.BYTES;
    byte[] bytes = new byte[rows + slots * ROW_BYTES];
    long base = Platform.BYTE_ARRAY_OFFSET;
    Platform.putLong(bytes, base, slots);
    for (int slot = 0; slot < slots; slot++) {
      long row = rows + (long) slot * ROW_BYTES;
      // where the row is, and its length
      Platform.putLong(bytes, base + header + (long) slot * Long.BYTES, (row << 32) | ROW_BYTES);
      Platform.putInt(bytes, base + row + FIRST_FIELD, ids[slot]);
      Platform.putFloat(bytes, base + row + SECOND_FIELD, weights[slot]);
    }
    UnsafeArrayData array = new UnsafeArrayData();
    array.pointTo(bytes, base, bytes.length);
    return array;
  }
}
