package org.sparkmoe.udfs.sql;

import java.util.List;
import org.apache.spark.sql.SparkSessionExtensions;

/** Every function, for everybody who needs them all: catalog, session extension, documents. */
public final class MoeFunctions {
  /** Begins the names of functions that need no catalog. */
  static final String PREFIX = "moe_";

  /** In the order of the documents. */
  static final List<Signature> ALL =
      List.of(
          TopKFunction.SIGNATURE,
          TopKIdsFunction.SIGNATURE,
          TopKWeightsFunction.SIGNATURE,
          GateFunction.SIGNATURE,
          DecodeFunction.SIGNATURE,
          EncodeFunction.SIGNATURE,
          DecodeIdsFunction.SIGNATURE,
          QuantizeFunction.SIGNATURE,
          DequantizeFunction.SIGNATURE,
          UnpackFunction.SIGNATURE,
          CombineAggregate.SIGNATURE,
          ExpertLoadFunction.SIGNATURE,
          ImbalanceFunction.SIGNATURE);

  private MoeFunctions() {}

  /** Registers all of them as {@code moe_…} in the sessions that {@code extensions} make. */
  public static void inject(SparkSessionExtensions extensions) {
    ALL.forEach(signature -> extensions.injectFunction(new FunctionBuilder(signature).described()));
  }

  /** The functions as a Markdown table, as the documents hold it. */
  public static String markdown() {
    return FunctionTexts.markdown(ALL);
  }
}
