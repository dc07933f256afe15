package org.sparkmoe.job.cli;

import java.util.List;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.sparkmoe.datasets.InputException;

/** The value of {@code --layers}: numbers and ranges, separated by commas. */
final class LayerList {
  private static final Pattern PART = Pattern.compile("(\\d{1,6})(?:-(\\d{1,6}))?");

  private LayerList() {}

  /** The layers in ascending order, each once. */
  static List<Integer> parse(String text) {
    TreeSet<Integer> layers = new TreeSet<>();
    for (String part : text.split(",", -1)) {
      Matcher found = PART.matcher(part.strip());
      if (!found.matches()) {
        throw refused(text, "\"" + part.strip() + "\" is no layer");
      }
      int first = Integer.parseInt(found.group(1));
      int last = found.group(2) == null ? first : Integer.parseInt(found.group(2));
      if (last < first) {
        throw refused(text, "the range %s is empty".formatted(part.strip()));
      }
      for (int layer = first; layer <= last; layer++) {
        if (!layers.add(layer)) {
          throw refused(text, "layer %d is given twice".formatted(layer));
        }
      }
    }
    return List.copyOf(layers);
  }

  private static InputException refused(String text, String why) {
    return new InputException(
        "--layers %s: %s; give numbers and ranges, for example 3,7,11 or 0-15"
            .formatted(text, why));
  }
}
