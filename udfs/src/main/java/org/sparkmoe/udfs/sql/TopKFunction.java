package org.sparkmoe.udfs.sql;

import java.util.List;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * {@code topk(logits ARRAY<FLOAT>, rule STRING) → ARRAY<STRUCT<expert_id INT, topk_weight FLOAT>>}:
 * the experts that a routing rule chooses with their weights, best first. {@link RoutingRuleText}
 * has the grammar of the rule.
 */
public final class TopKFunction extends MoeFunction<ArrayData> {
  private static final long serialVersionUID = 1;

  static final Signature SIGNATURE =
      new Signature(
          "topk",
          "the experts that a routing rule chooses, with their weights, best first",
          RoutingCall.ARGUMENTS,
          List.of(RoutingCall.form(TopKFunction::new)),
          new Example(
              "%s(array(0.1, 2.0, -1.0, 1.5), 'softmax k=2 renormalize')",
              "[{\"expert_id\":1,\"topk_weight\":0.62245935},{\"expert_id\":3,\"topk_weight\":0.37754068}]"),
          "`inline` makes rows of it, `posexplode` numbers the slots.");

  private final RoutingCall call = new RoutingCall();

  TopKFunction() {
    super("topk", RouteArray.TYPE, Form.FLOATS, DataTypes.StringType);
  }

  /** Called by Spark's generated code. Null in, null out. */
  public ArrayData invoke(ArrayData logits, UTF8String rule) {
    if (logits == null || rule == null) {
      return null;
    }
    call.route(logits, rule);
    return RouteArray.of(call.ids(), call.weights());
  }
}
