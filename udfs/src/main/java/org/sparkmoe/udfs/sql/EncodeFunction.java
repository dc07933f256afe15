package org.sparkmoe.udfs.sql;

import java.lang.foreign.MemorySegment;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.unsafe.types.UTF8String;
import org.sparkmoe.kernels.tensor.DType;

/**
 * {@code moe.encode(vector ARRAY<FLOAT>, dtype STRING) → BINARY}: little-endian elements, rounded
 * to nearest even. A null element becomes a NaN, which the job reports as a row error.
 */
public final class EncodeFunction extends MoeFunction<byte[]> {
  private static final long serialVersionUID = 1;

  static final Signature SIGNATURE =
      new Signature(
          "encode",
          new DataType[] {Signature.FLOATS, DataTypes.StringType},
          EncodeFunction::new,
          "encode(vector, dtype) - a vector as little-endian f32, bf16 or f16");

  private final DTypeName dtypes = new DTypeName();

  /** Called by Spark's generated code. Null in, null out. */
  public byte[] invoke(ArrayData vector, UTF8String dtypeName) {
    if (vector == null || dtypeName == null) {
      return null;
    }
    DType dtype = dtypes.parse(dtypeName);
    int length = vector.numElements();
    byte[] bytes = new byte[Math.toIntExact(dtype.bytes(length))];
    MemorySegment data = MemorySegment.ofArray(bytes);
    for (int i = 0; i < length; i++) {
      dtype.set(data, i, vector.isNullAt(i) ? Float.NaN : vector.getFloat(i));
    }
    return bytes;
  }

  @Override
  Signature signature() {
    return SIGNATURE;
  }

  @Override
  public DataType resultType() {
    return DataTypes.BinaryType;
  }
}
