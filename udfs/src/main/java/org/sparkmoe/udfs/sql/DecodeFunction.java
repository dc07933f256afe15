package org.sparkmoe.udfs.sql;

import java.util.List;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.unsafe.types.UTF8String;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * {@code decode(vector BINARY, dtype STRING) → ARRAY<FLOAT>}: little-endian elements, widened
 * exactly.
 */
public final class DecodeFunction extends MoeFunction<ArrayData> {
  private static final long serialVersionUID = 1;

  static final Signature SIGNATURE =
      new Signature(
          "decode",
          "the elements of a little-endian vector, widened to FLOAT; exact",
          List.of(
              Argument.column("vector", "elements one after the other, for example a `hidden`"),
              DTypeName.ARGUMENT),
          List.of(
              Form.of(
                  constants -> {
                    DTypeName.check(constants[1]);
                    return new DecodeFunction();
                  },
                  DataTypes.BinaryType,
                  DataTypes.StringType)),
          new Example("%s(X'803F00C0', 'bf16')", "[1.0,-2.0]"));

  private final DTypeName dtypes = new DTypeName();

  DecodeFunction() {
    super("decode", FloatArrays.TYPE, DataTypes.BinaryType, DataTypes.StringType);
  }

  /** Called by Spark's generated code. Null in, null out. */
  public ArrayData invoke(byte[] vector, UTF8String dtypeName) {
    if (vector == null || dtypeName == null) {
      return null;
    }
    DType dtype = dtypes.parse(dtypeName);
    requireWhole(vector, dtype);
    return FloatArrays.decode(vector, dtype);
  }

  static float[] decode(byte[] vector, DType dtype) {
    requireWhole(vector, dtype);
    return Vectors.decode(vector, dtype);
  }

  private static void requireWhole(byte[] vector, DType dtype) {
    if (vector.length % dtype.bytes() != 0) {
      throw new IllegalArgumentException(
          "%d bytes are not a whole number of %s elements of %d bytes"
              .formatted(vector.length, dtype, dtype.bytes()));
    }
  }
}
