package org.sparkmoe.datasets.arrow;

import java.nio.ByteOrder;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.Float4Vector;
import org.apache.spark.sql.types.DataTypes;

/**
 * The elements of lists of f32. Spark copies arrays in bulk, nulls included, which its own Arrow
 * column answers with an exception; here a null has whatever value lies in its slot.
 */
final class FloatElements extends VectorColumn {
  private static final int BYTES = Float4Vector.TYPE_WIDTH;

  private final ArrowBuf values;

  FloatElements(FieldVector vector) {
    super(DataTypes.FloatType, vector);
    values = vector.getDataBuffer();
  }

  @Override
  public float getFloat(int row) {
    return values.getFloat((long) row * BYTES);
  }

  @Override
  public float[] getFloats(int row, int count) {
    float[] floats = new float[count];
    if (count > 0) {
      values
          .nioBuffer((long) row * BYTES, Math.multiplyExact(count, BYTES))
          .order(ByteOrder.LITTLE_ENDIAN)
          .asFloatBuffer()
          .get(floats);
    }
    return floats;
  }
}
