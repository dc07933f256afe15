package org.sparkmoe.datasets.tensor;

import java.util.Arrays;
import org.apache.spark.sql.types.DataTypes;
import org.sparkmoe.datasets.arrow.ReadOnlyColumn;

/** Rows of equal length, one after another in a buffer that the reader owns. */
final class RowBytesColumn extends ReadOnlyColumn {
  private final byte[] buffer;
  private final int rowBytes;

  RowBytesColumn(byte[] buffer, int rowBytes) {
    super(DataTypes.BinaryType);
    this.buffer = buffer;
    this.rowBytes = rowBytes;
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
  public byte[] getBinary(int row) {
    int start = row * rowBytes;
    return Arrays.copyOfRange(buffer, start, start + rowBytes);
  }

  @Override
  public void close() {}
}
