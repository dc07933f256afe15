package org.sparkmoe.datasets.safetensors;

/** Text from a file made fit for a one-line message. */
public final class Quoted {
  private static final int LONGEST = 200;

  private Quoted() {}

  /**
   * {@code text} between double quotes, with everything but printable characters escaped and cut
   * after 200 characters: names in a hostile file may hold line breaks or be megabytes long.
   */
  public static String of(String text) {
    StringBuilder quoted = new StringBuilder("\"");
    int shown = Math.min(text.length(), LONGEST);
    for (int i = 0; i < shown; i++) {
      char c = text.charAt(i);
      boolean plain = c >= ' ' && c != '"' && c != '\\' && isPrintable(c);
      if (plain) {
        quoted.append(c);
      } else {
        quoted.append(String.format("\\u%04x", (int) c));
      }
    }
    if (shown < text.length()) {
      quoted.append("... (").append(text.length()).append(" characters)");
    }
    return quoted.append('"').toString();
  }

  private static boolean isPrintable(char c) {
    return switch (Character.getType(c)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR,
          Character.UNASSIGNED ->
          false;
      default -> true;
    };
  }
}
