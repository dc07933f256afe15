package org.sparkmoe.udfs.sql;

import java.util.Arrays;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.apache.spark.sql.connector.catalog.functions.BoundFunction;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** A function's name, argument types and text; Spark casts arguments where it safely can. */
record Signature(
    String name, DataType[] inputTypes, Supplier<BoundFunction> function, String description)
    implements UnboundFunction {
  static final DataType FLOATS = DataTypes.createArrayType(DataTypes.FloatType, true);
  static final DataType INTS = DataTypes.createArrayType(DataTypes.IntegerType, false);

  @Override
  public BoundFunction bind(StructType arguments) {
    if (arguments.fields().length != inputTypes.length) {
      throw new UnsupportedOperationException(
          "%s takes (%s), not %d arguments"
              .formatted(name, types(inputTypes), arguments.fields().length));
    }
    for (int i = 0; i < inputTypes.length; i++) {
      DataType given = arguments.fields()[i].dataType();
      if (!accepts(inputTypes[i], given)) {
        throw new UnsupportedOperationException(
            "%s takes (%s), not (%s)"
                .formatted(
                    name,
                    types(inputTypes),
                    types(
                        Arrays.stream(arguments.fields())
                            .map(StructField::dataType)
                            .toArray(DataType[]::new))));
      }
    }
    return function.get();
  }

  private static boolean accepts(DataType wanted, DataType given) {
    if (given.equals(DataTypes.NullType)) {
      return true;
    }
    return wanted.getClass() == given.getClass();
  }

  private static String types(DataType[] types) {
    return Arrays.stream(types).map(DataType::sql).collect(Collectors.joining(", "));
  }
}
