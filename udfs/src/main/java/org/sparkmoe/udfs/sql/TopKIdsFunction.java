package org.sparkmoe.udfs.sql;

import java.util.List;
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * {@code topk_ids(logits ARRAY<FLOAT>, rule STRING) → ARRAY<INT>}: the ids of the experts that a
 * routing rule chooses, best first. {@link RoutingRuleText} has the grammar of the rule.
 */
public final class TopKIdsFunction extends MoeFunction<ArrayData> {
  private static final long serialVersionUID = 1;

  static final Signature SIGNATURE =
      new Signature(
          "topk_ids",
          "the ids of the experts that a routing rule chooses, best first",
          RoutingCall.ARGUMENTS,
          List.of(RoutingCall.form(TopKIdsFunction::new)),
          new Example("%s(array(0.1, 2.0, -1.0, 1.5), 'softmax k=2')", "[1,3]"));

  private final RoutingCall call = new RoutingCall();

  TopKIdsFunction() {
    super("topk_ids", Form.INTS, Form.FLOATS, DataTypes.StringType);
  }

  /** Called by Spark's generated code. Null in, null out. */
  public ArrayData invoke(ArrayData logits, UTF8String rule) {
    if (logits == null || rule == null) {
      return null;
    }
    call.route(logits, rule);
    return UnsafeArrayData.fromPrimitiveArray(call.ids());
  }
}
