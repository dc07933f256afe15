package org.sparkmoe.udfs.sql;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
import org.sparkmoe.kernels.quant.ActivationCodec;

/**
 * {@code quantize(vector ARRAY<FLOAT>, scheme STRING) → STRUCT<codes BINARY, scales BINARY>}: what
 * the job dispatches of such a vector, byte for byte. {@link QuantSchemeText} has the grammar of
 * the scheme.
 */
public final class QuantizeFunction extends MoeFunction<InternalRow> {
  private static final long serialVersionUID = 1;

  private static final DataType TYPE =
      new StructType()
          .add("codes", DataTypes.BinaryType, false)
          .add("scales", DataTypes.BinaryType, false);

  static final Signature SIGNATURE =
      new Signature(
          "quantize",
          "codes and scales of a vector, the bytes that the job dispatches for it",
          List.of(Argument.column("vector", "values"), QuantScheme.ARGUMENT),
          List.of(
              Form.of(
                  constants -> {
                    QuantScheme.check(constants[1]);
                    return new QuantizeFunction();
                  },
                  Form.FLOATS,
                  DataTypes.StringType)),
          new Example("hex(%s(array(1.0, -2.0), 'int8 per token').codes)", "4081"),
          "A group with a value that is not finite gets a NaN for its scale.");

  private final QuantScheme schemes = new QuantScheme();

  QuantizeFunction() {
    super("quantize", TYPE, Form.FLOATS, DataTypes.StringType);
  }

  /** Called by Spark's generated code. Null in, null out. */
  public InternalRow invoke(ArrayData vector, UTF8String scheme) {
    if (vector == null || scheme == null) {
      return null;
    }
    ActivationCodec codec = schemes.codec(scheme);
    float[] values = FloatArrays.of(vector);
    byte[] codes = new byte[Math.toIntExact(codec.scheme().codeBytes(values.length))];
    byte[] scales = new byte[Math.toIntExact(codec.scheme().scaleBytes(values.length))];
    codec.encode(
        1,
        values.length,
        MemorySegment.ofArray(values),
        MemorySegment.ofArray(codes),
        MemorySegment.ofArray(scales));
    return new GenericInternalRow(new Object[] {codes, scales});
  }
}
