package org.sparkmoe.datasets.arrow;

import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.Float2Vector;
import org.apache.spark.sql.types.DataTypes;

/**
 * Lists of half floats as BINARY, little-endian f16: Spark has no such number, and the bytes need
 * no conversion. A list with a null among its elements has no bytes, so it is null as a whole.
 */
final class HalfListColumn extends VectorColumn {
  private final ListBounds bounds;
  private final FieldVector elements;
  private final boolean nullElements;

  HalfListColumn(FieldVector vector) {
    super(DataTypes.BinaryType, vector);
    bounds = ListBounds.of(vector);
    elements = bounds.elements();
    nullElements = elements.getNullCount() > 0;
  }

  @Override
  public boolean hasNull() {
    return nullElements || super.hasNull();
  }

  @Override
  public boolean isNullAt(int row) {
    return super.isNullAt(row) || (nullElements && hasNullElement(row));
  }

  @Override
  public byte[] getBinary(int row) {
    if (isNullAt(row)) {
      return null;
    }
    int start = bounds.start(row);
    byte[] bytes = new byte[(bounds.end(row) - start) * Float2Vector.TYPE_WIDTH];
    elements.getDataBuffer().getBytes((long) start * Float2Vector.TYPE_WIDTH, bytes);
    return bytes;
  }

  private boolean hasNullElement(int row) {
    for (int i = bounds.start(row); i < bounds.end(row); i++) {
      if (elements.isNull(i)) {
        return true;
      }
    }
    return false;
  }
}
