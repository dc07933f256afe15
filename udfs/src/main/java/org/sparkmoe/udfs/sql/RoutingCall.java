package org.sparkmoe.udfs.sql;

import java.io.Serializable;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.unsafe.types.UTF8String;
import org.sparkmoe.kernels.router.Router;

/**
 * One row through the router, for the SQL functions; keeps the router of the last rule and width.
 */
final class RoutingCall implements Serializable {
  private static final long serialVersionUID = 1;

  private transient UTF8String lastRule;
  private transient Router router;
  private transient int[] ids;
  private transient float[] weights;

  static DataType[] inputTypes() {
    return new DataType[] {Signature.FLOATS, DataTypes.StringType};
  }

  /**
   * Routes one row; {@link #ids} and {@link #weights} hold the result. A null logit counts as NaN.
   */
  void route(ArrayData logits, UTF8String rule) {
    int experts = logits.numElements();
    if (!rule.equals(lastRule) || router.experts() != experts) {
      router = Router.of(RoutingRuleText.parse(rule.toString()), experts);
      ids = new int[router.topK()];
      weights = new float[router.topK()];
      lastRule = rule.clone();
    }
    float[] row = new float[experts];
    for (int e = 0; e < experts; e++) {
      row[e] = logits.isNullAt(e) ? Float.NaN : logits.getFloat(e);
    }
    router.route(1, row, null, ids, weights);
  }

  int[] ids() {
    return ids;
  }

  float[] weights() {
    return weights;
  }
}
