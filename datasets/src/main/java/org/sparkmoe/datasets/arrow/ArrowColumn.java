package org.sparkmoe.datasets.arrow;

import java.util.List;
import org.apache.arrow.vector.types.DateUnit;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.TimeUnit;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.sql.types.MetadataBuilder;

/**
 * How one column of a file appears in Spark. A column that cannot be read is listed too, as a
 * nullable BINARY that carries the reason, so that a file with exotic columns can still be used for
 * its others.
 */
record ArrowColumn(Field field, View view, DataType type, Metadata metadata) {

  /** Who shows the column's vector to Spark. */
  enum View {
    /** Spark's own column over an Arrow vector. */
    PLAIN,
    /** {@link ListColumn}. */
    LIST,
    /** {@link HalfListColumn}. */
    HALF_LIST,
    /** {@link FixedBinaryColumn}. */
    FIXED_BINARY,
    /** Nobody: selecting the column is an error. */
    NONE
  }

  static ArrowColumn of(Field field) {
    if (field.getDictionary() != null) {
      return unsupported(field, "dictionary of " + field.getType());
    }
    return switch (field.getType()) {
      case ArrowType.FixedSizeBinary binary when binary.getByteWidth() > 0 -> binary(field, binary);
      case ArrowType.FixedSizeList list when list.getListSize() > 0 ->
          list(field, new MetadataBuilder().putLong(HiddenMetadata.WIDTH, list.getListSize()));
      case ArrowType.List list -> list(field, new MetadataBuilder());
      case ArrowType.LargeList list -> list(field, new MetadataBuilder());
      default -> plain(field);
    };
  }

  String name() {
    return field.getName();
  }

  boolean readable() {
    return view != View.NONE;
  }

  /** Whether the same buffers mean the same thing in both columns, whatever inner names say. */
  boolean agreesWith(ArrowColumn other) {
    return name().equals(other.name())
        && metadata.equals(other.metadata)
        && sameLayout(List.of(field), List.of(other.field));
  }

  private static boolean sameLayout(List<Field> left, List<Field> right) {
    if (left.size() != right.size()) {
      return false;
    }
    for (int i = 0; i < left.size(); i++) {
      Field a = left.get(i);
      Field b = right.get(i);
      if (!a.getType().equals(b.getType())
          || (a.getDictionary() == null) != (b.getDictionary() == null)
          || !sameLayout(a.getChildren(), b.getChildren())) {
        return false;
      }
    }
    return true;
  }

  private static ArrowColumn plain(Field field) {
    DataType type = plainType(field.getType());
    boolean bytes = DataTypes.BinaryType.equals(type);
    MetadataBuilder metadata = bytes ? dtypeOf(field) : new MetadataBuilder();
    return type == null
        ? unsupported(field, field.getType().toString())
        : new ArrowColumn(field, View.PLAIN, type, metadata.build());
  }

  private static ArrowColumn binary(Field field, ArrowType.FixedSizeBinary type) {
    Metadata metadata = dtypeOf(field).putLong(HiddenMetadata.BYTES, type.getByteWidth()).build();
    return new ArrowColumn(field, View.FIXED_BINARY, DataTypes.BinaryType, metadata);
  }

  private static ArrowColumn list(Field field, MetadataBuilder metadata) {
    if (field.getChildren().size() != 1) {
      return unsupported(field, field.getType() + " without elements");
    }
    Field element = field.getChildren().getFirst();
    if (element.getDictionary() == null && isHalf(element.getType())) {
      metadata.putString(HiddenMetadata.DTYPE, "f16");
      return new ArrowColumn(field, View.HALF_LIST, DataTypes.BinaryType, metadata.build());
    }
    ArrowColumn elements = of(element);
    if (elements.view != View.PLAIN) {
      return unsupported(field, field.getType() + " of " + element.getType());
    }
    DataType type = DataTypes.createArrayType(elements.type, true);
    return new ArrowColumn(field, View.LIST, type, metadata.build());
  }

  private static boolean isHalf(ArrowType type) {
    return type instanceof ArrowType.FloatingPoint floating
        && floating.getPrecision() == FloatingPointPrecision.HALF;
  }

  private static ArrowColumn unsupported(Field field, String type) {
    Metadata metadata = new MetadataBuilder().putString(HiddenMetadata.UNSUPPORTED, type).build();
    return new ArrowColumn(field, View.NONE, DataTypes.BinaryType, metadata);
  }

  private static MetadataBuilder dtypeOf(Field field) {
    MetadataBuilder metadata = new MetadataBuilder();
    String dtype = field.getMetadata().get(HiddenMetadata.DTYPE);
    return dtype == null ? metadata : metadata.putString(HiddenMetadata.DTYPE, dtype);
  }

  /** The type under which Spark's own Arrow column shows {@code type}, or null where it cannot. */
  private static DataType plainType(ArrowType type) {
    return switch (type) {
      case ArrowType.Bool _ -> DataTypes.BooleanType;
      case ArrowType.Int number when number.getIsSigned() -> intType(number.getBitWidth());
      case ArrowType.FloatingPoint floating -> floatType(floating.getPrecision());
      case ArrowType.Decimal decimal when decimal.getBitWidth() == 128 -> decimalType(decimal);
      case ArrowType.Utf8 _, ArrowType.LargeUtf8 _ -> DataTypes.StringType;
      case ArrowType.Binary _, ArrowType.LargeBinary _ -> DataTypes.BinaryType;
      case ArrowType.Date date when date.getUnit() == DateUnit.DAY -> DataTypes.DateType;
      case ArrowType.Timestamp time when time.getUnit() == TimeUnit.MICROSECOND ->
          time.getTimezone() == null ? DataTypes.TimestampNTZType : DataTypes.TimestampType;
      default -> null;
    };
  }

  private static DataType intType(int bits) {
    return switch (bits) {
      case 8 -> DataTypes.ByteType;
      case 16 -> DataTypes.ShortType;
      case 32 -> DataTypes.IntegerType;
      case 64 -> DataTypes.LongType;
      default -> null;
    };
  }

  private static DataType floatType(FloatingPointPrecision precision) {
    return switch (precision) {
      case SINGLE -> DataTypes.FloatType;
      case DOUBLE -> DataTypes.DoubleType;
      case HALF -> null;
    };
  }

  private static DataType decimalType(ArrowType.Decimal decimal) {
    boolean fits =
        decimal.getPrecision() >= 1
            && decimal.getPrecision() <= 38
            && decimal.getScale() >= 0
            && decimal.getScale() <= decimal.getPrecision();
    return fits ? DataTypes.createDecimalType(decimal.getPrecision(), decimal.getScale()) : null;
  }
}
