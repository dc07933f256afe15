package org.sparkmoe.udfs.sql;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;

/**
 * {@code moe.decode_ids(ids BINARY) → ARRAY<INT>}: little-endian int32, as dispatch blocks hold
 * them.
 */
public final class DecodeIdsFunction extends MoeFunction<ArrayData> {
  private static final long serialVersionUID = 1;

  static final Signature SIGNATURE =
      new Signature(
          "decode_ids",
          new DataType[] {DataTypes.BinaryType},
          DecodeIdsFunction::new,
          "decode_ids(ids) - the int32 values of a little-endian buffer");

  /** Called by Spark's generated code. Null in, null out. */
  public ArrayData invoke(byte[] ids) {
    if (ids == null) {
      return null;
    }
    int[] values =
        MemorySegment.ofArray(ids)
            .toArray(ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN));
    return UnsafeArrayData.fromPrimitiveArray(values);
  }

  @Override
  Signature signature() {
    return SIGNATURE;
  }

  @Override
  public DataType resultType() {
    return Signature.INTS;
  }
}
