package org.sparkmoe.udfs.sql;

import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.catalyst.expressions.SpecificInternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.catalyst.util.GenericArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * {@code unpack(token_ids, slot_offsets, topk_slots, expert_ids, topk_weights, codes, scales)}: the
 * tokens of a dispatch block ({@link org.sparkmoe.udfs.dispatch.DispatchBlock}), one struct each.
 */
public final class UnpackFunction extends MoeFunction<ArrayData> {
  private static final long serialVersionUID = 1;

  private static final StructType TOKEN =
      new StructType()
          .add("token_id", DataTypes.LongType, false)
          .add("topk_slots", Form.INTS, false)
          .add("expert_ids", Form.INTS, false)
          .add("topk_weights", FloatArrays.TYPE, false)
          .add("codes", DataTypes.BinaryType, false)
          .add("scales", DataTypes.BinaryType, false);

  private static final DataType[] BUFFERS = new DataType[7];

  static {
    Arrays.fill(BUFFERS, DataTypes.BinaryType);
  }

  static final Signature SIGNATURE =
      new Signature(
          "unpack",
          "the tokens of a dispatch block, each with the slots that its lane computes",
          List.of(
              Argument.column("token_ids", "n int64"),
              Argument.column("slot_offsets", "n + 1 int32: where a token's assignments begin"),
              Argument.column("topk_slots", "int32 by assignment"),
              Argument.column("expert_ids", "int32 by assignment"),
              Argument.column("topk_weights", "f32 by assignment"),
              Argument.column("codes", "of all tokens, equally long"),
              Argument.column("scales", "of all tokens, equally long, or empty")),
          List.of(Form.of(UnpackFunction::new, BUFFERS)),
          new Example(
              "%s(X'0900000000000000', X'0000000001000000', X'00000000', X'05000000', X'0000803F',"
                  + " X'4081', X'0402813C')[0].expert_ids",
              "[5]"),
          "`inline` makes rows of it; `moe_dequantize` makes vectors of codes and scales, "
              + "`moe_decode` of codes that are not quantized.");

  UnpackFunction() {
    super("unpack", DataTypes.createArrayType(TOKEN, false), BUFFERS);
  }

  /** Called by Spark's generated code. Null in, null out. */
  public ArrayData invoke(
      byte[] tokenIds,
      byte[] slotOffsets,
      byte[] topkSlots,
      byte[] expertIds,
      byte[] topkWeights,
      byte[] codes,
      byte[] scales) {
    if (tokenIds == null
        || slotOffsets == null
        || topkSlots == null
        || expertIds == null
        || topkWeights == null
        || codes == null
        || scales == null) {
      return null;
    }
    long[] ids = Vectors.longs(tokenIds);
    int[] offsets = Vectors.ints(slotOffsets);
    int[] slots = Vectors.ints(topkSlots);
    int[] experts = Vectors.ints(expertIds);
    float[] weights = Vectors.floats(topkWeights);
    int tokens = ids.length;
    require("slot_offsets", offsets.length == tokens + 1 && ascends(offsets, slots.length));
    require("expert_ids", experts.length == slots.length);
    require("topk_weights", weights.length == slots.length);
    require("codes", tokens == 0 ? codes.length == 0 : codes.length % tokens == 0);
    require("scales", tokens == 0 ? scales.length == 0 : scales.length % tokens == 0);
    Object[] rows = new Object[tokens];
    for (int token = 0; token < tokens; token++) {
      int from = offsets[token];
      int to = offsets[token + 1];
      SpecificInternalRow row = new SpecificInternalRow(TOKEN);
      row.setLong(0, ids[token]);
      row.update(1, UnsafeArrayData.fromPrimitiveArray(Arrays.copyOfRange(slots, from, to)));
      row.update(2, UnsafeArrayData.fromPrimitiveArray(Arrays.copyOfRange(experts, from, to)));
      row.update(3, UnsafeArrayData.fromPrimitiveArray(Arrays.copyOfRange(weights, from, to)));
      row.update(4, part(codes, token, tokens));
      row.update(5, part(scales, token, tokens));
      rows[token] = row;
    }
    return new GenericArrayData(rows);
  }

  private static byte[] part(byte[] all, int token, int tokens) {
    int bytes = all.length / tokens;
    return Arrays.copyOfRange(all, token * bytes, (token + 1) * bytes);
  }

  private static boolean ascends(int[] offsets, int end) {
    boolean ascends = offsets[0] == 0 && offsets[offsets.length - 1] == end;
    for (int i = 1; i < offsets.length; i++) {
      ascends &= offsets[i - 1] <= offsets[i];
    }
    return ascends;
  }

  private static void require(String column, boolean fits) {
    if (!fits) {
      throw new IllegalArgumentException(
          "%s does not fit the other columns of the block; give the columns of one row of blocks"
              .formatted(column));
    }
  }
}
