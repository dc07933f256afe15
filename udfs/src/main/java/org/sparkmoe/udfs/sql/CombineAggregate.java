package org.sparkmoe.udfs.sql;

import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.connector.catalog.functions.AggregateFunction;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;

/**
 * {@code combine(output ARRAY<FLOAT>, weight FLOAT, expert_id INT) → ARRAY<FLOAT>}: the weighted
 * sum of a token's expert outputs in f32, in the order of the job's, so with its bits whatever
 * order the rows come in.
 */
public final class CombineAggregate implements AggregateFunction<ExpertVectors, ArrayData> {
  private static final long serialVersionUID = 1;

  private static final int OUTPUT = 0;
  private static final int WEIGHT = 1;
  private static final int EXPERT = 2;

  static final Signature SIGNATURE =
      new Signature(
          "combine",
          "aggregate: the sum of weight · output in f32, with the bits of a run whatever order"
              + " rows come in",
          List.of(
              Argument.column("output", "what an expert made of the token"),
              Argument.column("weight", "the router's, `topk_weight`"),
              Argument.column(
                  "expert_id", "once in a group; its number decides what is added first")),
          List.of(
              Form.of(
                  CombineAggregate::new, Form.FLOATS, DataTypes.FloatType, DataTypes.IntegerType)),
          new Example(
              "%s(v, w, e) FROM VALUES (array(1.0, 2.0), 0.5, 9), (array(4.0, 0.0), 0.25, 3) AS"
                  + " t(v, w, e)",
              "[1.5,1.0]"),
          "Rows with a null are left out; a group holds all of its vectors until it is complete.");

  CombineAggregate() {}

  @Override
  public ExpertVectors newAggregationState() {
    return new ExpertVectors();
  }

  @Override
  public ExpertVectors update(ExpertVectors vectors, InternalRow arguments) {
    if (!arguments.isNullAt(OUTPUT) && !arguments.isNullAt(WEIGHT) && !arguments.isNullAt(EXPERT)) {
      vectors.add(
          arguments.getInt(EXPERT),
          arguments.getFloat(WEIGHT),
          FloatArrays.of(arguments.getArray(OUTPUT)));
    }
    return vectors;
  }

  @Override
  public ExpertVectors merge(ExpertVectors left, ExpertVectors right) {
    left.addAll(right);
    return left;
  }

  @Override
  public ArrayData produceResult(ExpertVectors vectors) {
    return vectors.isEmpty() ? null : FloatArrays.of(vectors.sum());
  }

  @Override
  public DataType[] inputTypes() {
    return new DataType[] {Form.FLOATS, DataTypes.FloatType, DataTypes.IntegerType};
  }

  @Override
  public DataType resultType() {
    return FloatArrays.TYPE;
  }

  @Override
  public String name() {
    return "combine";
  }

  @Override
  public String canonicalName() {
    return "org.sparkmoe.combine";
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof CombineAggregate;
  }

  @Override
  public int hashCode() {
    return CombineAggregate.class.hashCode();
  }
}
