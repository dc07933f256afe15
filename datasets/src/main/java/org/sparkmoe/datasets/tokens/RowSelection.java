package org.sparkmoe.datasets.tokens;

import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import org.sparkmoe.datasets.InputException;

/**
 * Which rows of an input are read: first those of {@code since}, of them the {@code sample}, of
 * those the {@code limit}. The choice depends on the rows alone, never on partitions.
 *
 * @param since lowest value of a column
 * @param sample fraction of the token ids, chosen by their hash: a smaller sample is part of a
 *     larger one
 * @param limit how many rows, those with the lowest token ids
 */
public record RowSelection(Optional<Since> since, OptionalDouble sample, OptionalInt limit) {

  /** Every row. */
  public static final RowSelection ALL =
      new RowSelection(Optional.empty(), OptionalDouble.empty(), OptionalInt.empty());

  public RowSelection {
    if (limit.isPresent() && limit.getAsInt() <= 0) {
      throw new InputException(
          "limit %d keeps no rows; give a number from 1".formatted(limit.getAsInt()));
    }
    // also refuses what is no number
    if (sample.isPresent() && !(sample.getAsDouble() > 0 && sample.getAsDouble() <= 1)) {
      throw new InputException(
          "--sample %s is outside 0 to 1; give a fraction such as 0.01, 1 takes all"
              .formatted(sample.getAsDouble()));
    }
  }

  /**
   * Rows whose {@code column} is {@code value} or later.
   *
   * @param value as text, read as the column's type
   */
  public record Since(String column, String value) {

    /** Parses {@code COLUMN=VALUE}. */
    public static Since parse(String text) {
      int at = text.indexOf('=');
      if (at <= 0 || at == text.length() - 1) {
        throw new InputException(
            "--since %s is no COLUMN=VALUE; give for example day=2026-11-24".formatted(text));
      }
      return new Since(text.substring(0, at).strip(), text.substring(at + 1).strip());
    }

    @Override
    public String toString() {
      return column + "=" + value;
    }
  }

  /** Whether rows may be left out. */
  public boolean isPart() {
    return !equals(ALL);
  }
}
