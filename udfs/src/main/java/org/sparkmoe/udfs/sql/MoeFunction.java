package org.sparkmoe.udfs.sql;

import org.apache.spark.sql.connector.catalog.functions.ScalarFunction;
import org.apache.spark.sql.types.DataType;

/**
 * What the functions share: everything but the magic method {@code invoke}, which Spark finds by
 * name and calls with its own values.
 */
abstract class MoeFunction<R> implements ScalarFunction<R> {
  private static final long serialVersionUID = 1;

  /** A constant of the class: functions are serialized into plans, signatures are not. */
  abstract Signature signature();

  @Override
  public final DataType[] inputTypes() {
    return signature().inputTypes();
  }

  @Override
  public final String name() {
    return signature().name();
  }

  @Override
  public final String canonicalName() {
    return "org.sparkmoe." + name();
  }
}
