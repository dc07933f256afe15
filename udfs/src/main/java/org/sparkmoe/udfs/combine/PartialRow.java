package org.sparkmoe.udfs.combine;

import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.udfs.tokens.TokenFormat;

/** What a lane knows of one token: the rows of the second shuffle. */
public final class PartialRow {
  /** Position of the token's id. */
  static final int TOKEN_ID = 0;

  /** Position of the slots that the lane served, m int32. */
  static final int SLOTS = 1;

  /** Position of an expert of each partial, p int32. */
  static final int EXPERTS = 2;

  /** Position of the partials, p × H f32: weighted sums over some of those slots. */
  static final int PARTIALS = 3;

  /**
   * Position of the shared expert's output, H f32; set by the token's home lane if the layer has
   * one.
   */
  static final int SHARED = 4;

  /** Position of the kept columns; set by the token's home lane. */
  static final int KEPT = 5;

  private PartialRow() {}

  /** Columns of a partial row. */
  public static StructType schema(TokenFormat format) {
    return format.withKept(
        new StructType()
            .add("token_id", DataTypes.LongType, false)
            .add("topk_slots", DataTypes.BinaryType, false)
            .add("expert_ids", DataTypes.BinaryType, false)
            .add("partials", DataTypes.BinaryType, false)
            .add("shared", DataTypes.BinaryType));
  }
}
