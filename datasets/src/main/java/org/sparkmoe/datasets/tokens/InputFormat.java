package org.sparkmoe.datasets.tokens;

import java.util.Locale;
import org.sparkmoe.datasets.InputException;

/** The file formats of token tables. */
public enum InputFormat {
  /** Found out from names, and where they say nothing, from the first bytes. */
  AUTO,
  /** Parquet, by Spark's own reader. */
  PARQUET,
  /** Arrow IPC files, see {@link org.sparkmoe.datasets.arrow.ArrowSource}. */
  ARROW,
  /** A tensor, see {@link org.sparkmoe.datasets.tensor.TensorSource}. */
  SAFETENSORS,
  /** A Delta table, through the package of Delta Lake, which the user brings along. */
  DELTA;

  /** Parses the option's value. */
  public static InputFormat parse(String name) {
    for (InputFormat format : values()) {
      if (format.toString().equals(name.toLowerCase(Locale.ROOT))) {
        return format;
      }
    }
    throw new InputException(
        "input format %s is not read; use auto, parquet, arrow, safetensors or delta, or write the table as Parquet"
            .formatted(name));
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
