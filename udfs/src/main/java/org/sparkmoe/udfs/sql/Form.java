package org.sparkmoe.udfs.sql;

import java.util.List;
import java.util.function.Supplier;
import org.apache.spark.sql.connector.catalog.functions.BoundFunction;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.FloatType;
import org.apache.spark.sql.types.NumericType;

/**
 * One list of argument types that a function takes.
 *
 * @param binder makes the function
 */
record Form(List<DataType> inputTypes, Binder binder) {
  static final DataType FLOATS = DataTypes.createArrayType(DataTypes.FloatType, true);
  static final DataType INTS = DataTypes.createArrayType(DataTypes.IntegerType, false);

  /** Makes a function for a query. */
  interface Binder {
    /**
     * A function.
     *
     * @param constants the arguments' values in Spark's own types, null where one is no constant
     * @throws IllegalArgumentException for a constant that cannot be used, in one line
     */
    BoundFunction bind(Object[] constants);
  }

  static Form of(Supplier<BoundFunction> function, DataType... inputTypes) {
    return new Form(List.of(inputTypes), constants -> function.get());
  }

  static Form of(Binder binder, DataType... inputTypes) {
    return new Form(List.of(inputTypes), binder);
  }

  /** Whether arguments of these types will do. */
  boolean accepts(List<DataType> given) {
    if (given.size() != inputTypes.size()) {
      return false;
    }
    for (int i = 0; i < given.size(); i++) {
      if (!accepts(inputTypes.get(i), given.get(i))) {
        return false;
      }
    }
    return true;
  }

  private static boolean accepts(DataType wanted, DataType given) {
    return given.equals(DataTypes.NullType)
        || (wanted.getClass() == given.getClass() && elementsFit(wanted, given))
        || narrows(wanted, given);
  }

  private static boolean elementsFit(DataType wanted, DataType given) {
    return !(wanted instanceof ArrayType array)
        || accepts(array.elementType(), ((ArrayType) given).elementType());
  }

  /**
   * Whether a value has to be cast before the function takes it: literals such as 0.5 are DECIMAL,
   * and hidden states may come as DOUBLE.
   */
  static boolean narrows(DataType wanted, DataType given) {
    if (wanted instanceof ArrayType array && given instanceof ArrayType values) {
      return narrows(array.elementType(), values.elementType());
    }
    return wanted instanceof FloatType
        && given instanceof NumericType
        && !(given instanceof FloatType);
  }
}
