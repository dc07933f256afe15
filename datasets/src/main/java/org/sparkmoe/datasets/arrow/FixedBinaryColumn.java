package org.sparkmoe.datasets.arrow;

import org.apache.arrow.vector.FixedSizeBinaryVector;
import org.apache.spark.sql.types.DataTypes;

/** Fixed-size binaries as BINARY, which Spark's own Arrow column does not know. */
final class FixedBinaryColumn extends VectorColumn {
  private final FixedSizeBinaryVector vector;

  FixedBinaryColumn(FixedSizeBinaryVector vector) {
    super(DataTypes.BinaryType, vector);
    this.vector = vector;
  }

  @Override
  public byte[] getBinary(int row) {
    return isNullAt(row) ? null : vector.get(row);
  }
}
