package org.sparkmoe.job.report;

import java.util.List;

/** Pieces of HTML. Whatever comes from a run is text, never markup. */
final class Html {
  private Html() {}

  /** {@code value} as text or as the value of a quoted attribute. */
  static String text(Object value) {
    StringBuilder escaped = new StringBuilder();
    String plain = String.valueOf(value);
    for (int i = 0; i < plain.length(); i++) {
      char c = plain.charAt(i);
      switch (c) {
        case '&' -> escaped.append("&amp;");
        case '<' -> escaped.append("&lt;");
        case '>' -> escaped.append("&gt;");
        case '"' -> escaped.append("&quot;");
        case '\'' -> escaped.append("&#39;");
        default -> escaped.append(Character.isISOControl(c) && c != '\n' ? '\uFFFD' : c);
      }
    }
    return escaped.toString();
  }

  /**
   * A table. Columns whose header ends in {@code #} hold numbers; cells are text.
   *
   * @param caption what it says, as text
   */
  static String table(String caption, List<String> headers, List<? extends List<?>> rows) {
    // A page has thousands of rows: where all columns are numbers, the table says so once.
    boolean numbers = headers.stream().allMatch(header -> header.endsWith("#"));
    StringBuilder html = new StringBuilder("<div class=scroll><table");
    html.append(numbers ? " class=n" : "").append("><caption>");
    html.append(text(caption)).append("</caption><thead><tr>");
    for (String header : headers) {
      boolean number = header.endsWith("#");
      html.append("<th scope=col").append(number && !numbers ? " class=n>" : ">");
      html.append(text(number ? header.substring(0, header.length() - 1) : header));
    }
    html.append("</thead><tbody>");
    for (List<?> row : rows) {
      html.append("\n<tr>");
      for (int column = 0; column < row.size(); column++) {
        html.append(!numbers && headers.get(column).endsWith("#") ? "<td class=n>" : "<td>");
        html.append(text(row.get(column)));
      }
    }
    return html.append("</tbody></table></div>").toString();
  }

  /** Names and what belongs to them, as a list of definitions. */
  static String facts(List<List<String>> facts) {
    StringBuilder html = new StringBuilder("<dl>");
    for (List<String> fact : facts) {
      html.append("\n<div><dt>").append(text(fact.get(0)));
      html.append("</dt><dd>").append(text(fact.get(1))).append("</dd></div>");
    }
    return html.append("</dl>").toString();
  }

  /**
   * A plot with its title, what to read from it, and the numbers behind it.
   *
   * @param id of its canvas, which the page's script draws on
   * @param controls markup of what changes the plot, or nothing
   * @param behind markup of the tables behind the plot
   * @param place style of its place in the grid: {@code wide}, {@code two} rows, or none
   */
  static String plot(
      String id, String title, String note, String controls, String behind, String place) {
    return """
    <figure class="card %s" aria-labelledby="%s-title">
    <figcaption><h3 id="%s-title">%s</h3><p>%s</p></figcaption>%s
    <div class="plot"><canvas id="%s" role="img" aria-label="%s: the numbers are in the table below"></canvas></div>
    <details><summary>Table</summary>%s</details>
    </figure>
    """
        .formatted(place, id, id, text(title), text(note), controls, id, text(title), behind);
  }

  /** A choice of how a plot is drawn: {@code value, label, value, label, …}. */
  static String choice(String id, String label, String... options) {
    StringBuilder html = new StringBuilder("<p class=controls><label>");
    html.append(text(label)).append(" <select id=\"").append(id).append("\">");
    for (int i = 0; i < options.length; i += 2) {
      html.append("<option value=\"").append(text(options[i])).append("\">");
      html.append(text(options[i + 1])).append("</option>");
    }
    return html.append("</select></label></p>").toString();
  }
}
