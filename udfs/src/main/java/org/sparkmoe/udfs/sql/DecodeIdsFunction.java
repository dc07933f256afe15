package org.sparkmoe.udfs.sql;

import java.util.List;
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataTypes;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * {@code decode_ids(ids BINARY) → ARRAY<INT>}: little-endian int32, as dispatch blocks hold them.
 */
public final class DecodeIdsFunction extends MoeFunction<ArrayData> {
  private static final long serialVersionUID = 1;

  static final Signature SIGNATURE =
      new Signature(
          "decode_ids",
          "the int32 values of a little-endian buffer, for example `expert_ids` of a block",
          List.of(Argument.column("ids", "values one after the other")),
          List.of(Form.of(DecodeIdsFunction::new, DataTypes.BinaryType)),
          new Example("%s(X'0700000003000000')", "[7,3]"));

  DecodeIdsFunction() {
    super("decode_ids", Form.INTS, DataTypes.BinaryType);
  }

  /** Called by Spark's generated code. Null in, null out. */
  public ArrayData invoke(byte[] ids) {
    return ids == null ? null : UnsafeArrayData.fromPrimitiveArray(Vectors.ints(ids));
  }
}
