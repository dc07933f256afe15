package org.sparkmoe.udfs.dispatch;

import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.tokens.TokenFormat;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * The tokens of one block, as a lane receives them. All buffers are little-endian; n is the number
 * of tokens, a token's slots are consecutive assignments, by ascending expert.
 *
 * @param lane that owns all experts of the block
 * @param tokenIds n token ids
 * @param slotOffsets n + 1: token t owns assignments slotOffsets[t] to slotOffsets[t + 1] − 1
 * @param topkSlots slot (0…k−1) of each assignment
 * @param expertIds global expert id of each assignment
 * @param topkWeights weight of each assignment; 1 where the weight already multiplied the input
 * @param partialStarts a flag for each assignment: 1 where it begins another of the token's
 *     partials, the sums that the lane makes; always at the token's first
 * @param codes n × H codes; unquantized they are the vectors, of {@link LayerPlan#dispatchedType()}
 * @param scales n × scales per token, of the type the scheme says; empty where the scheme has none
 *     per row
 * @param home n flags: 1 where this lane also serves the token's shared expert and carries its kept
 *     columns
 * @param homeHiddenOrNull f32 vectors of the home tokens, where the codes cannot serve the shared
 *     expert
 * @param keptOrNull kept columns of the home tokens, in order
 */
public record DispatchBlock(
    int lane,
    long[] tokenIds,
    int[] slotOffsets,
    int[] topkSlots,
    int[] expertIds,
    float[] topkWeights,
    byte[] partialStarts,
    byte[] codes,
    byte[] scales,
    byte[] home,
    byte[] homeHiddenOrNull,
    List<Row> keptOrNull) {

  /** Name of the column that says where a block goes. */
  public static final String LANE = "lane";

  /** Columns of a block row. */
  public static StructType schema(TokenFormat format) {
    StructType schema =
        new StructType()
            .add(LANE, DataTypes.IntegerType, false)
            .add("n", DataTypes.IntegerType, false)
            .add("token_ids", DataTypes.BinaryType, false)
            .add("slot_offsets", DataTypes.BinaryType, false)
            .add("topk_slots", DataTypes.BinaryType, false)
            .add("expert_ids", DataTypes.BinaryType, false)
            .add("topk_weights", DataTypes.BinaryType, false)
            .add("partial_starts", DataTypes.BinaryType, false)
            .add("codes", DataTypes.BinaryType, false)
            .add("scales", DataTypes.BinaryType, false)
            .add("home", DataTypes.BinaryType, false)
            .add("home_hidden", DataTypes.BinaryType, true);
    return format.keeps()
        ? schema.add("kept", DataTypes.createArrayType(format.keptOrNull(), true))
        : schema;
  }

  /** Reads a block row. */
  public static DispatchBlock of(Row row) {
    return new DispatchBlock(
        row.getInt(0),
        Vectors.longs(row.getAs(2)),
        Vectors.ints(row.getAs(3)),
        Vectors.ints(row.getAs(4)),
        Vectors.ints(row.getAs(5)),
        Vectors.floats(row.getAs(6)),
        row.getAs(7),
        row.getAs(8),
        row.getAs(9),
        row.getAs(10),
        row.getAs(11),
        row.length() > 12 && !row.isNullAt(12) ? row.getList(12) : null);
  }

  /**
   * Refuses a block with more or less in a buffer than its tokens need: computing on what is left
   * would give wrong results.
   */
  public void check(LayerPlan plan) {
    ActivationScheme scheme = plan.codecs().input().scheme();
    int hidden = plan.spec().hidden();
    int homes = 0;
    for (byte flag : home) {
      homes += flag;
    }
    requireBytes("partial_starts", partialStarts.length, assignments());
    for (int first : slotOffsets) {
      if (first < assignments() && partialStarts[first] == 0) {
        throw new IllegalStateException(
            "a block for lane %d has a token without a partial at its first slot".formatted(lane));
      }
    }
    requireBytes("codes", codes.length, tokens() * plan.codeBytes());
    requireBytes("scales", scales.length, tokens() * scheme.scaleBytes(hidden));
    requireBytes("home", home.length, tokens());
    requireBytes(
        "home_hidden",
        homeHiddenOrNull == null ? 0 : homeHiddenOrNull.length,
        plan.sendsHomeHidden() ? DType.F32.bytes((long) homes * hidden) : 0);
  }

  private void requireBytes(String column, long actual, long expected) {
    if (actual != expected) {
      throw new IllegalStateException(
          "a block for lane %d has %d bytes of %s, expected %d"
              .formatted(lane, actual, column, expected));
    }
  }

  /** Tokens of the block. */
  public int tokens() {
    return tokenIds.length;
  }

  /** Partials of the block. */
  public int partials() {
    int partials = 0;
    for (byte start : partialStarts) {
      partials += start;
    }
    return partials;
  }

  /** Assignments of the block. */
  public int assignments() {
    return expertIds.length;
  }
}
