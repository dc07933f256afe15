package org.sparkmoe.udfs.sql;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.unsafe.types.UTF8String;
import org.sparkmoe.kernels.quant.ActivationCodec;

/**
 * {@code dequantize(codes BINARY, scales BINARY, scheme STRING) → ARRAY<FLOAT>}: the values that a
 * lane computes with. {@link QuantSchemeText} has the grammar of the scheme.
 */
public final class DequantizeFunction extends MoeFunction<ArrayData> {
  private static final long serialVersionUID = 1;

  private static final int BITS = 8;

  static final Signature SIGNATURE =
      new Signature(
          "dequantize",
          "the values of codes and scales, as a lane computes with them",
          List.of(
              Argument.column("codes", "of a vector, or of a token of a block"),
              Argument.column("scales", "beside them; empty where the scheme has none per vector"),
              QuantScheme.ARGUMENT),
          List.of(
              Form.of(
                  constants -> {
                    QuantScheme.check(constants[2]);
                    return new DequantizeFunction();
                  },
                  DataTypes.BinaryType,
                  DataTypes.BinaryType,
                  DataTypes.StringType)),
          new Example("%s(X'4081', X'0402813C', 'int8 per token')", "[1.007874,-2.0]"));

  private final QuantScheme schemes = new QuantScheme();

  DequantizeFunction() {
    super(
        "dequantize",
        FloatArrays.TYPE,
        DataTypes.BinaryType,
        DataTypes.BinaryType,
        DataTypes.StringType);
  }

  /** Called by Spark's generated code. Null in, null out. */
  public ArrayData invoke(byte[] codes, byte[] scales, UTF8String scheme) {
    if (codes == null || scales == null || scheme == null) {
      return null;
    }
    ActivationCodec codec = schemes.codec(scheme);
    int width = codes.length * (BITS / codec.scheme().codes().bits());
    long expected = codec.scheme().scaleBytes(width);
    if (scales.length != expected) {
      throw new IllegalArgumentException(
          "%d bytes of codes (%s) need %d bytes of scales, not %d"
              .formatted(codes.length, codec.scheme().label(), expected, scales.length));
    }
    float[] values = new float[width];
    codec.decode(
        1,
        width,
        MemorySegment.ofArray(codes),
        MemorySegment.ofArray(scales),
        MemorySegment.ofArray(values));
    return FloatArrays.of(values);
  }
}
