package org.sparkmoe.datasets.arrow;

import org.apache.arrow.vector.FieldVector;
import org.apache.spark.sql.types.DataType;

/** A column that owns an Arrow vector and has its nulls. */
abstract class VectorColumn extends ReadOnlyColumn {
  private final FieldVector vector;

  VectorColumn(DataType type, FieldVector vector) {
    super(type);
    this.vector = vector;
  }

  @Override
  public int numNulls() {
    return vector.getNullCount();
  }

  @Override
  public boolean isNullAt(int row) {
    return vector.isNull(row);
  }

  @Override
  public void close() {
    vector.close();
  }
}
