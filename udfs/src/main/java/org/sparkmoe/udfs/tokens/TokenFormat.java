package org.sparkmoe.udfs.tokens;

import java.io.Serializable;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.kernels.tensor.DType;

/**
 * How tokens look when they reach a function: {@code token_id BIGINT, hidden BINARY[, kept
 * STRUCT]}.
 *
 * @param hidden values per token
 * @param dtype elements of the hidden column, little-endian
 * @param keptOrNull type of the struct of columns that are carried through, or null for none
 * @param duplicatesOrNull ascending token ids that occur more than once, or null where ids are
 *     known to be unique
 */
public record TokenFormat(
    int hidden, DType dtype, StructType keptOrNull, Broadcast<long[]> duplicatesOrNull)
    implements Serializable {

  /** Columns of the input rows, by position. */
  static final int TOKEN_ID = 0;

  static final int HIDDEN = 1;
  static final int KEPT = 2;

  /** Rows of the result: {@code token_id, output BINARY, error STRING[, kept]}. */
  public StructType outputSchema() {
    StructType schema =
        new StructType()
            .add("token_id", DataTypes.LongType)
            .add("output", DataTypes.BinaryType)
            .add("error", DataTypes.StringType);
    return withKept(schema);
  }

  /** {@code schema} with the carried columns behind it, where there are any. */
  public StructType withKept(StructType schema) {
    return keptOrNull == null ? schema : schema.add("kept", (DataType) keptOrNull);
  }

  public boolean keeps() {
    return keptOrNull != null;
  }
}
