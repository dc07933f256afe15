package org.sparkmoe.udfs.sql;

import java.io.Serializable;
import org.apache.spark.unsafe.types.UTF8String;
import org.sparkmoe.kernels.quant.ActivationCodec;

/**
 * Reads a scheme given in SQL and remembers the last one, because it is nearly always a literal.
 */
final class QuantScheme implements Serializable {
  private static final long serialVersionUID = 1;

  static final Argument ARGUMENT =
      Argument.constant(
          "scheme", "codes and scales, for example 'e4m3 per token' or 'int8 per 64', see below");

  private transient UTF8String lastText;
  private transient ActivationCodec last;

  ActivationCodec codec(UTF8String text) {
    if (!text.equals(lastText)) {
      last = QuantSchemeText.parse(text.toString());
      lastText = text.clone();
    }
    return last;
  }

  /** Refuses a constant that is no scheme; null stands for one that is not known. */
  static void check(Object constant) {
    if (constant != null) {
      QuantSchemeText.parse(constant.toString());
    }
  }
}
