package org.sparkmoe.udfs.sql;

import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * {@code moe.topk_ids(logits ARRAY<FLOAT>, rule STRING) → ARRAY<INT>}: the ids of the experts that
 * a routing rule chooses, best first. {@link RoutingRuleText} has the grammar of the rule.
 */
public final class TopKIdsFunction extends MoeFunction<ArrayData> {
  private static final long serialVersionUID = 1;

  static final Signature SIGNATURE =
      new Signature(
          "topk_ids",
          RoutingCall.inputTypes(),
          TopKIdsFunction::new,
          "topk_ids(logits, rule) - the ids of the experts that a routing rule chooses, best"
              + " first");

  private final RoutingCall call = new RoutingCall();

  /** Called by Spark's generated code. Null in, null out. */
  public ArrayData invoke(ArrayData logits, UTF8String rule) {
    if (logits == null || rule == null) {
      return null;
    }
    call.route(logits, rule);
    return UnsafeArrayData.fromPrimitiveArray(call.ids());
  }

  @Override
  Signature signature() {
    return SIGNATURE;
  }

  @Override
  public DataType resultType() {
    return Signature.INTS;
  }
}
