package org.sparkmoe.udfs.sql;

import java.io.Serializable;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import org.apache.spark.unsafe.types.UTF8String;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Parses an element type given in SQL and remembers the last one, because it is nearly always a
 * literal.
 */
final class DTypeName implements Serializable {
  private static final long serialVersionUID = 1;

  static final Argument ARGUMENT =
      Argument.constant("dtype", "element type: 'f32', 'bf16' or 'f16'");

  private transient UTF8String lastName;
  private transient DType last;

  DType parse(UTF8String name) {
    if (!name.equals(lastName)) {
      last = parse(name.toString());
      lastName = name.clone();
    }
    return last;
  }

  /**
   * Refuses an unknown name.
   *
   * @param constant as Spark hands it over, null where it is not known
   */
  static void check(Object constant) {
    if (constant != null) {
      parse(constant.toString());
    }
  }

  private static DType parse(String name) {
    for (DType dtype : DType.values()) {
      if (dtype.name().equalsIgnoreCase(name)) {
        return dtype;
      }
    }
    throw new IllegalArgumentException(
        "unknown element type '%s'; known are %s"
            .formatted(
                name,
                Arrays.stream(DType.values())
                    .map(dtype -> dtype.name().toLowerCase(Locale.ROOT))
                    .collect(Collectors.joining(", "))));
  }
}
