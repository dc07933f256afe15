package org.sparkmoe.udfs.compare;

import org.apache.spark.api.java.function.MapFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.kernels.tensor.DType;

/**
 * From rows {@code token_id BIGINT, output BINARY, reference BINARY}, none of them null, to rows of
 * {@link #SCHEMA}.
 */
public final class DifferenceFunction implements MapFunction<Row, Row> {
  private static final long serialVersionUID = 1;

  /** What {@link RowDifference} says of each token. */
  public static final StructType SCHEMA =
      new StructType()
          .add("token_id", DataTypes.LongType, false)
          .add("relative", DataTypes.DoubleType, false)
          .add("largest", DataTypes.DoubleType, false)
          .add("position", DataTypes.IntegerType, false)
          .add("output", DataTypes.FloatType, false)
          .add("reference", DataTypes.FloatType, false);

  private final DType output;
  private final DType reference;

  /** Elements are of these types, little-endian. */
  public DifferenceFunction(DType output, DType reference) {
    this.output = output;
    this.reference = reference;
  }

  @Override
  public Row call(Row row) {
    long token = row.getLong(0);
    byte[] ours = row.getAs(1);
    byte[] theirs = row.getAs(2);
    requireSameWidth(token, ours, theirs);
    RowDifference found = RowDifference.of(ours, output, theirs, reference);
    return RowFactory.create(
        token,
        found.relative(),
        found.largest(),
        found.position(),
        found.value(),
        found.reference());
  }

  private void requireSameWidth(long token, byte[] ours, byte[] theirs) {
    // an incomplete last element makes the bytes differ
    long expected = (long) ours.length / output.bytes() * reference.bytes();
    if (ours.length == 0 || theirs.length != expected) {
      throw new InputException(
          "token %d has %d values in the run and %d in the reference; take the reference of this layer"
              .formatted(token, ours.length / output.bytes(), theirs.length / reference.bytes()));
    }
  }
}
