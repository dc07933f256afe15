package org.sparkmoe.job.report;

import org.apache.spark.api.java.function.MapFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.compare.RowDifference;

/**
 * Compares the outputs of a token in two runs. Takes {@code token_id, first BINARY, first_error,
 * second BINARY, second_error}, all four null on a side that lacks the token; gives {@link
 * #SCHEMA}.
 *
 * @param first element type of run A
 * @param second element type of run B
 */
record OutputPair(DType first, DType second) implements MapFunction<Row, Row> {
  static final String FIRST = "first";
  static final String FIRST_ERROR = "first_error";
  static final String SECOND = "second";
  static final String SECOND_ERROR = "second_error";

  /** {@code kind} is the name of a {@link Kind}; distances are 0 where none was taken. */
  static final StructType SCHEMA =
      new StructType()
          .add("token_id", DataTypes.LongType, false)
          .add("kind", DataTypes.StringType, false)
          .add("relative", DataTypes.DoubleType, false)
          .add("largest", DataTypes.DoubleType, false);

  /** What became of a token. */
  enum Kind {
    ONLY_FIRST("only in A"),
    ONLY_SECOND("only in B"),
    FAILED_FIRST("could not be scored in A, but in B"),
    FAILED_SECOND("could not be scored in B, but in A"),
    OTHER_REASON("could not be scored in either, for different reasons"),
    SAME_REASON("could not be scored in either, for the same reason"),
    OTHER_WIDTH("have outputs of different widths"),
    COMPARED("have outputs in both");

    private final String words;

    Kind(String words) {
      this.words = words;
    }

    /** For people, behind a number of tokens. */
    String words() {
      return words;
    }

    boolean isOneSided() {
      return this == ONLY_FIRST || this == ONLY_SECOND;
    }
  }

  @Override
  public Row call(Row row) {
    byte[] ours = row.getAs(1);
    byte[] theirs = row.getAs(3);
    Kind kind = kind(ours, row.getString(2), theirs, row.getString(4));
    double relative = 0;
    double largest = 0;
    if (kind == Kind.COMPARED) {
      RowDifference found = RowDifference.of(theirs, second, ours, first);
      relative = found.relative();
      largest = found.largest();
    }
    return RowFactory.create(row.getLong(0), kind.name(), relative, largest);
  }

  private Kind kind(byte[] ours, String error, byte[] theirs, String otherError) {
    if (theirs == null && otherError == null) {
      return Kind.ONLY_FIRST;
    }
    if (ours == null && error == null) {
      return Kind.ONLY_SECOND;
    }
    if (ours == null && theirs == null) {
      return error.equals(otherError) ? Kind.SAME_REASON : Kind.OTHER_REASON;
    }
    if (ours == null) {
      return Kind.FAILED_FIRST;
    }
    if (theirs == null) {
      return Kind.FAILED_SECOND;
    }
    // An incomplete last element makes the bytes differ.
    boolean sameWidth =
        ours.length > 0
            && (long) ours.length * second.bytes() == (long) theirs.length * first.bytes();
    return sameWidth ? Kind.COMPARED : Kind.OTHER_WIDTH;
  }
}
