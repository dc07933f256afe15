package org.sparkmoe.udfs.sql;

import java.lang.foreign.MemorySegment;
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.unsafe.types.UTF8String;
import org.sparkmoe.kernels.tensor.DType;

/**
 * {@code moe.decode(vector BINARY, dtype STRING) → ARRAY<FLOAT>}: little-endian elements, widened
 * exactly.
 */
public final class DecodeFunction extends MoeFunction<ArrayData> {
  private static final long serialVersionUID = 1;

  static final Signature SIGNATURE =
      new Signature(
          "decode",
          new DataType[] {DataTypes.BinaryType, DataTypes.StringType},
          DecodeFunction::new,
          "decode(vector, dtype) - the elements of a little-endian vector of f32, bf16 or f16");

  private final DTypeName dtypes = new DTypeName();

  /** Called by Spark's generated code. Null in, null out. */
  public ArrayData invoke(byte[] vector, UTF8String dtypeName) {
    if (vector == null || dtypeName == null) {
      return null;
    }
    DType dtype = dtypes.parse(dtypeName);
    if (vector.length % dtype.bytes() != 0) {
      throw new IllegalArgumentException(
          "%d bytes are not a whole number of %s elements of %d bytes"
              .formatted(vector.length, dtype, dtype.bytes()));
    }
    MemorySegment data = MemorySegment.ofArray(vector);
    float[] values = new float[vector.length / dtype.bytes()];
    for (int i = 0; i < values.length; i++) {
      values[i] = dtype.get(data, i);
    }
    return UnsafeArrayData.fromPrimitiveArray(values);
  }

  @Override
  Signature signature() {
    return SIGNATURE;
  }

  @Override
  public DataType resultType() {
    return DataTypes.createArrayType(DataTypes.FloatType, false);
  }
}
