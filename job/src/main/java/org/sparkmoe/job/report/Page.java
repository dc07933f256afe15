package org.sparkmoe.job.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/**
 * A page in one file: markup, styles, scripts and data. Its policy lets exactly these scripts and
 * styles run and nothing be loaded from anywhere.
 */
final class Page {
  /** In every page, so that a later one may replace it. */
  static final String MARK = "<meta name=\"generator\" content=\"Spark MoE report\">";

  /** Where the build unpacks it; the version is that of {@code chartjs.version} in the root POM. */
  private static final String CHART_JS = "lib/META-INF/resources/webjars/chart.js/4.5.1/";

  private Page() {}

  /**
   * The page.
   *
   * @param title as text
   * @param body markup
   * @param data what the scripts draw
   * @param script resource that draws it
   */
  static String of(String title, String body, JsonNode data, String script) {
    String style = resource("report.css");
    List<String> scripts =
        List.of(
            resource(CHART_JS + "dist/chart.umd.min.js"), resource("plots.js"), resource(script));
    List<String> hashes = new ArrayList<>();
    StringBuilder inlined = new StringBuilder();
    for (String text : scripts) {
      hashes.add(hash(text));
      inlined.append("<script>").append(text).append("</script>\n");
    }
    return """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src %s; style-src %s; img-src data:; base-uri 'none'; form-action 'none'">
    %s
    <meta name="referrer" content="no-referrer">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <link rel="icon" href="data:,">
    <title>%s</title>
    <style>%s</style>
    </head>
    <body>
    <main>
    %s
    <footer>
    <noscript><p>Plots are drawn by a script. The tables behind them hold the same numbers.</p></noscript>
    <details><summary>Licences</summary>
    <p>This page was made by Spark MoE (Apache License 2.0). It contains Chart.js:</p><pre>%s</pre></details>
    </footer>
    </main>
    <script id="data" type="application/json">%s</script>
    %s</body>
    </html>
    """
        .formatted(
            String.join(" ", hashes),
            hash(style),
            MARK,
            Html.text(title),
            style,
            body,
            Html.text(resource(CHART_JS + "LICENSE.md")),
            json(data),
            inlined);
  }

  /** JSON that ends no element and no line of a script, whatever its strings hold. */
  static String json(JsonNode data) {
    try {
      return new ObjectMapper()
          .writeValueAsString(data)
          .replace("<", "\\u003c")
          .replace(">", "\\u003e")
          .replace("&", "\\u0026")
          .replace("\u2028", "\\u2028")
          .replace("\u2029", "\\u2029");
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("the report's data cannot be written", e);
    }
  }

  private static String hash(String text) {
    try {
      byte[] sum =
          MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
      return "'sha256-" + Base64.getEncoder().encodeToString(sum) + "'";
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java has SHA-256", e);
    }
  }

  private static String resource(String name) {
    try (InputStream in = Page.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new IllegalStateException("the jar lacks " + name + "; build it again");
      }
      // A map of its source would be looked for when somebody opens the browser's tools.
      return new String(in.readAllBytes(), StandardCharsets.UTF_8)
          .replaceFirst("\\n//# sourceMappingURL=\\S+", "");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
