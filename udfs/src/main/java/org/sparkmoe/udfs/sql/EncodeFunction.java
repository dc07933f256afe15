package org.sparkmoe.udfs.sql;

import java.util.List;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * {@code encode(vector ARRAY<FLOAT>, dtype STRING) → BINARY}: little-endian elements, rounded to
 * nearest even. A null element becomes a NaN, which the job reports as a row error.
 */
public final class EncodeFunction extends MoeFunction<byte[]> {
  private static final long serialVersionUID = 1;

  static final Signature SIGNATURE =
      new Signature(
          "encode",
          "a vector as little-endian elements, rounded to nearest even; a null element becomes NaN",
          List.of(Argument.column("vector", "values"), DTypeName.ARGUMENT),
          List.of(
              Form.of(
                  constants -> {
                    DTypeName.check(constants[1]);
                    return new EncodeFunction();
                  },
                  Form.FLOATS,
                  DataTypes.StringType)),
          new Example("hex(%s(array(1.0, -2.0), 'bf16'))", "803F00C0"));

  private final DTypeName dtypes = new DTypeName();

  EncodeFunction() {
    super("encode", DataTypes.BinaryType, Form.FLOATS, DataTypes.StringType);
  }

  /** Called by Spark's generated code. Null in, null out. */
  public byte[] invoke(ArrayData vector, UTF8String dtypeName) {
    if (vector == null || dtypeName == null) {
      return null;
    }
    return FloatArrays.encode(vector, dtypes.parse(dtypeName));
  }
}
