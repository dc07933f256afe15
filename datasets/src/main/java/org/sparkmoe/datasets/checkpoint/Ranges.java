package org.sparkmoe.datasets.checkpoint;

import java.util.List;
import java.util.StringJoiner;

/** Ascending numbers for a message, runs shortened. */
final class Ranges {
  private Ranges() {}

  /** For example {@code 1-3, 7}; {@code none} for an empty list. */
  static String of(List<Integer> ascending) {
    if (ascending.isEmpty()) {
      return "none";
    }
    StringJoiner text = new StringJoiner(", ");
    int first = ascending.getFirst();
    int last = first;
    for (int value : ascending.subList(1, ascending.size())) {
      if (value != last + 1) {
        text.add(run(first, last));
        first = value;
      }
      last = value;
    }
    return text.add(run(first, last)).toString();
  }

  private static String run(int first, int last) {
    return first == last ? Integer.toString(first) : first + "-" + last;
  }
}
