package org.sparkmoe.datasets.arrow;

import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.Float4Vector;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.vectorized.ArrowColumnVector;
import org.apache.spark.sql.vectorized.ColumnVector;
import org.apache.spark.sql.vectorized.ColumnarArray;

/** Lists of any kind as ARRAY, where Spark's own Arrow column knows only {@code List}. */
final class ListColumn extends VectorColumn {
  private final ListBounds bounds;
  private final ColumnVector elements;

  ListColumn(DataType type, FieldVector vector) {
    super(type, vector);
    bounds = ListBounds.of(vector);
    FieldVector vectors = bounds.elements();
    elements =
        vectors instanceof Float4Vector
            ? new FloatElements(vectors)
            : new ArrowColumnVector(vectors);
  }

  @Override
  public ColumnarArray getArray(int row) {
    if (isNullAt(row)) {
      return null;
    }
    int start = bounds.start(row);
    return new ColumnarArray(elements, start, bounds.end(row) - start);
  }

  @Override
  public ColumnVector getChild(int ordinal) {
    return elements;
  }
}
