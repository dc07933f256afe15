package org.sparkmoe.udfs.sql;

import java.io.Serializable;
import java.util.List;
import java.util.function.Supplier;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.connector.catalog.functions.BoundFunction;
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

  static final List<Argument> ARGUMENTS =
      List.of(
          Argument.column("logits", "one value per expert; a null counts as NaN, which loses"),
          Argument.constant("rule", "how experts are chosen and weighed, see below"));

  /** The form of a function that takes these arguments. */
  static Form form(Supplier<BoundFunction> function) {
    return Form.of(
        constants -> {
          if (constants[1] != null) {
            RoutingRuleText.parse(constants[1].toString());
          }
          return function.get();
        },
        Form.FLOATS,
        DataTypes.StringType);
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
    router.route(1, FloatArrays.of(logits), null, ids, weights);
  }

  int[] ids() {
    return ids;
  }

  float[] weights() {
    return weights;
  }
}
