package org.sparkmoe.datasets.tensor;

import org.apache.spark.sql.types.DataTypes;
import org.sparkmoe.datasets.arrow.ReadOnlyColumn;

/** Counts rows, from {@code first}. */
final class RowNumberColumn extends ReadOnlyColumn {
  private final long first;

  RowNumberColumn(long first) {
    super(DataTypes.LongType);
    this.first = first;
  }

  @Override
  public int numNulls() {
    return 0;
  }

  @Override
  public boolean isNullAt(int row) {
    return false;
  }

  @Override
  public long getLong(int row) {
    return first + row;
  }

  @Override
  public void close() {}
}
