package org.sparkmoe.udfs.sql;

import java.util.Arrays;
import java.util.Objects;
import org.apache.spark.sql.connector.catalog.functions.ScalarFunction;
import org.apache.spark.sql.types.DataType;

/**
 * What the functions share: everything but the magic method {@code invoke}, which Spark finds by
 * name and calls with its own values. Functions of one kind are equal, so that Spark computes an
 * expression once that a query holds twice.
 */
// Every DataType of Spark is serializable, though their base class does not say so.
@SuppressWarnings("serial")
abstract class MoeFunction<R> implements ScalarFunction<R> {
  private static final long serialVersionUID = 1;

  private final String name;
  private final DataType resultType;
  private final DataType[] inputTypes;

  /**
   * A function.
   *
   * @param name without a prefix
   * @param inputTypes Spark casts arguments to these where it safely can
   */
  MoeFunction(String name, DataType resultType, DataType... inputTypes) {
    this.name = name;
    this.resultType = resultType;
    this.inputTypes = inputTypes;
  }

  @Override
  public final DataType[] inputTypes() {
    return inputTypes.clone();
  }

  @Override
  public final DataType resultType() {
    return resultType;
  }

  @Override
  public final String name() {
    return name;
  }

  @Override
  public final String canonicalName() {
    return "org.sparkmoe." + name();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof MoeFunction<?> that
        && getClass() == that.getClass()
        && name.equals(that.name)
        && Arrays.equals(inputTypes, that.inputTypes);
  }

  @Override
  public int hashCode() {
    return Objects.hash(name, Arrays.hashCode(inputTypes));
  }

  /** What the queries of an interpreter print where functions stand in plans. */
  @Override
  public String toString() {
    return name;
  }
}
