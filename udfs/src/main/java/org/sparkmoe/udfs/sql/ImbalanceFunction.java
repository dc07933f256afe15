package org.sparkmoe.udfs.sql;

import java.util.List;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataTypes;

/**
 * {@code imbalance(loads ARRAY<BIGINT>) → DOUBLE}: the largest load over the mean; 1 is even, the
 * number of experts the worst. Null where nothing is loaded.
 */
public final class ImbalanceFunction extends MoeFunction<Double> {
  private static final long serialVersionUID = 1;

  static final Signature SIGNATURE =
      new Signature(
          "imbalance",
          "the largest load over the mean: 1 is even, the number of experts the worst; null of no"
              + " load at all",
          List.of(Argument.column("loads", "by expert, as `moe_expert_load` counts them")),
          List.of(
              Form.of(ImbalanceFunction::new, DataTypes.createArrayType(DataTypes.LongType, true))),
          new Example("%s(array(6L, 0L, 3L))", "2.0"));

  ImbalanceFunction() {
    super("imbalance", DataTypes.DoubleType, DataTypes.createArrayType(DataTypes.LongType, true));
  }

  /** Called by Spark's generated code. Null in, null out. */
  @SuppressWarnings("NullableDereference")
  public Double invoke(ArrayData loads) {
    if (loads == null) {
      return null;
    }
    long most = 0;
    long sum = 0;
    for (int i = 0; i < loads.numElements(); i++) {
      long load = loads.isNullAt(i) ? 0 : loads.getLong(i);
      most = Math.max(most, load);
      sum += load;
    }
    return sum == 0 ? null : (double) most * loads.numElements() / sum;
  }
}
