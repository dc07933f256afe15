package org.sparkmoe.datasets.tokens;

import java.io.Serializable;
import java.util.Locale;
import java.util.Optional;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.sql.types.StructField;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.arrow.HiddenMetadata;
import org.sparkmoe.kernels.tensor.DType;

/** How a row holds its hidden state. Outputs are written the way inputs were read. */
public sealed interface HiddenEncoding extends Serializable {

  /** The column's type in Spark. */
  DataType sparkType();

  /** Element type of the values. */
  DType dtype();

  /** {@code ARRAY<FLOAT>}. */
  record FloatArray() implements HiddenEncoding {
    @Override
    public DataType sparkType() {
      return DataTypes.createArrayType(DataTypes.FloatType);
    }

    @Override
    public DType dtype() {
      return DType.F32;
    }

    @Override
    public String toString() {
      return "ARRAY<FLOAT>";
    }
  }

  /** {@code BINARY}: the elements one after another, little-endian. */
  record Binary(DType dtype) implements HiddenEncoding {
    @Override
    public DataType sparkType() {
      return DataTypes.BinaryType;
    }

    @Override
    public String toString() {
      return "BINARY of " + nameOf(dtype);
    }
  }

  /**
   * What a column says of itself: BINARY is of f32 where its metadata says nothing. Empty where it
   * holds no vectors.
   */
  static Optional<HiddenEncoding> of(StructField column) {
    if (column.dataType().equals(DataTypes.BinaryType)) {
      Metadata metadata = column.metadata();
      return Optional.of(
          new Binary(
              metadata.contains(HiddenMetadata.DTYPE)
                  ? parseDType(metadata.getString(HiddenMetadata.DTYPE))
                  : DType.F32));
    }
    boolean numbers =
        column.dataType() instanceof ArrayType array
            && (array.elementType().equals(DataTypes.FloatType)
                || array.elementType().equals(DataTypes.DoubleType));
    return numbers ? Optional.of(new FloatArray()) : Optional.empty();
  }

  /** The name of {@code dtype} in options and column metadata. */
  static String nameOf(DType dtype) {
    return dtype.name().toLowerCase(Locale.ROOT);
  }

  /** Parses an element type: {@code f32}, {@code bf16} or {@code f16}, or its long name. */
  static DType parseDType(String name) {
    return switch (name.toLowerCase(Locale.ROOT)) {
      case "f32", "float32" -> DType.F32;
      case "bf16", "bfloat16" -> DType.BF16;
      case "f16", "float16" -> DType.F16;
      default -> throw new InputException("unknown dtype " + name + "; use f32, bf16 or f16");
    };
  }
}
