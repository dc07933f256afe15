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

  /** Position of their weights, m f32. */
  static final int WEIGHTS = 2;

  /**
   * Position of the unweighted expert outputs, m × H f32; or, where lanes reduce, of their weighted
   * sum, H f32.
   */
  static final int PARTIAL = 3;

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
            .add("topk_weights", DataTypes.BinaryType, false)
            .add("partial", DataTypes.BinaryType, false)
            .add("shared", DataTypes.BinaryType));
  }
}
