package org.sparkmoe.udfs.sql;

import java.io.Serializable;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.connector.catalog.functions.AggregateFunction;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;

/**
 * {@code expert_load(expert_id INT, experts INT) → ARRAY<BIGINT>}: how many rows chose each expert,
 * chosen or not. An integer sum: the order of rows does not show.
 */
public final class ExpertLoadFunction
    implements AggregateFunction<ExpertLoadFunction.Counts, ArrayData> {
  private static final long serialVersionUID = 1;

  private static final int UNKNOWN = -1;

  /** More experts than any layer has; an id in place of their number is found out by it. */
  private static final int MOST_EXPERTS = 1 << 20;

  static final Signature SIGNATURE =
      new Signature(
          "expert_load",
          "aggregate: how many rows chose each expert, 0 where none did",
          List.of(
              Argument.column("expert_id", "a choice, for example of `routes`; nulls do not count"),
              Argument.constant("experts", "of the layer")),
          List.of(
              Form.of(
                  constants -> {
                    int experts = constants[1] instanceof Integer number ? number : UNKNOWN;
                    if (experts != UNKNOWN) {
                      requireExperts(experts);
                    }
                    return new ExpertLoadFunction(experts);
                  },
                  DataTypes.IntegerType,
                  DataTypes.IntegerType)),
          new Example("%s(id, 4) FROM VALUES (0), (2), (2) AS routes(id)", "[1,0,2,0]"),
          "`moe_imbalance` tells how uneven the counts are.");

  private final int experts;

  private ExpertLoadFunction(int experts) {
    this.experts = experts;
  }

  /** Counts by expert; null until the number of experts is known. */
  static final class Counts implements Serializable {
    private static final long serialVersionUID = 1;

    private long[] byExpert;

    private Counts(long[] byExpert) {
      this.byExpert = byExpert;
    }
  }

  private static void requireExperts(int experts) {
    if (experts < 1 || experts > MOST_EXPERTS) {
      throw new IllegalArgumentException(
          "experts %d is outside 1 to %d".formatted(experts, MOST_EXPERTS));
    }
  }

  @Override
  public Counts newAggregationState() {
    return new Counts(experts == UNKNOWN ? null : new long[experts]);
  }

  @Override
  public Counts update(Counts counts, InternalRow arguments) {
    if (arguments.isNullAt(0) || arguments.isNullAt(1)) {
      return counts;
    }
    if (counts.byExpert == null) {
      requireExperts(arguments.getInt(1));
      counts.byExpert = new long[arguments.getInt(1)];
    }
    int expert = arguments.getInt(0);
    if (expert < 0 || expert >= counts.byExpert.length) {
      throw new IllegalArgumentException(
          "expert_id %d is outside 0 to %d".formatted(expert, counts.byExpert.length - 1));
    }
    counts.byExpert[expert]++;
    return counts;
  }

  @Override
  public Counts merge(Counts left, Counts right) {
    if (left.byExpert == null || right.byExpert == null) {
      return left.byExpert == null ? right : left;
    }
    for (int expert = 0; expert < left.byExpert.length; expert++) {
      left.byExpert[expert] += right.byExpert[expert];
    }
    return left;
  }

  @Override
  public ArrayData produceResult(Counts counts) {
    return counts.byExpert == null ? null : UnsafeArrayData.fromPrimitiveArray(counts.byExpert);
  }

  @Override
  public DataType[] inputTypes() {
    return new DataType[] {DataTypes.IntegerType, DataTypes.IntegerType};
  }

  @Override
  public DataType resultType() {
    return DataTypes.createArrayType(DataTypes.LongType, false);
  }

  @Override
  public String name() {
    return "expert_load";
  }

  @Override
  public String canonicalName() {
    return "org.sparkmoe.expert_load";
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof ExpertLoadFunction that && experts == that.experts;
  }

  @Override
  public int hashCode() {
    return experts;
  }
}
