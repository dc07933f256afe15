package org.sparkmoe.job.report;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class PageTest {
  private static final long SEED = 20261124;
  private static final String EVIL =
      "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u2028\u2029";

  @TempDir private Path folder;

  /** As many as the largest models have. */
  private static String large() {
    return RunPage.of(Layers.random(61, 256, 8, SEED));
  }

  /** A run that was made to attack who reads its report: every text of it is markup. */
  private static String hostile() {
    LayerReport layer = Layers.random(1, 7, 2, SEED).getFirst();
    ObjectNode manifest = layer.manifest().deepCopy();
    ((ObjectNode) manifest.at("/model")).put("checkpoint", EVIL).put("family", EVIL);
    ((ObjectNode) manifest.at("/options")).put(EVIL, EVIL).putArray("keep-columns").add(EVIL);
    ((ObjectNode) manifest.at("/backend")).put("chosen", EVIL).putArray("refusals").add(EVIL);
    ((ObjectNode) manifest.at("/dispatch")).put("reason", EVIL);
    ((ObjectNode) manifest.at("/stages/0")).put("stage", EVIL);
    ErrorReasons errors = new ErrorReasons(List.of(new ErrorReasons.Reason(EVIL, EVIL, 3)), 2, 5);
    return RunPage.of(List.of(new LayerReport(manifest, layer.experts(), layer.routes(), errors)));
  }

  @Test
  void dataEndNoElement() {
    ObjectNode data = JsonNodeFactory.instance.objectNode().put(EVIL, EVIL);

    String json = Page.json(data);

    assertThat(json).doesNotContain("<", ">", "&", "\u2028", "\u2029");
    assertThat(Layers.json(json)).isEqualTo(data);
  }

  @Test
  void textOfARunIsNeverMarkup() {
    String page = hostile();

    assertThat(page).doesNotContain("<img", "<script>alert").contains("&lt;img src=x");
    assertThat(Pattern.compile("<script").matcher(page).results()).hasSize(4);
  }

  @Test
  void thePolicyKnowsTheScriptsAndNoAddress() {
    String page = hostile();

    assertThat(page).contains("default-src 'none'");
    MatchResult policy =
        Pattern.compile("script-src ([^;]+);").matcher(page).results().findFirst().orElseThrow();
    assertThat(policy.group(1).split(" ")).hasSize(3).allMatch(hash -> hash.startsWith("'sha256-"));
    assertThat(page.replaceAll("(?s)<script>.*?</script>", ""))
        .doesNotContain("src=\"", "http-equiv=\"refresh\"", "@import", "url(")
        .doesNotContainPattern("<[^>]+ style=")
        .doesNotContainPattern("<[^>]+ on[a-z]+=");
  }

  @Test
  void everyPlotHasATitleAndATable() {
    for (String page : List.of(hostile(), RunPage.of(Layers.random(3, 16, 1, SEED)))) {
      List<String> figures =
          Pattern.compile("(?s)<figure.*?</figure>")
              .matcher(page)
              .results()
              .map(MatchResult::group)
              .toList();
      assertThat(figures).hasSizeGreaterThan(7);
      assertThat(figures)
          .allSatisfy(
              figure ->
                  assertThat(figure)
                      .contains("<h3 id=", "aria-labelledby", "role=\"img\" aria-label=\"")
                      .containsPattern(
                          "<details><summary>Table</summary>(?s).*<table[^>]*><caption>"));
    }
  }

  @Test
  void theLargestModelFitsIntoTwoMegabytes() {
    assertThat(large().getBytes(StandardCharsets.UTF_8).length).isLessThan(2_000_000);
  }

  @Test
  void opensInABrowserWithoutAWord() throws Exception {
    for (String page : List.of(large(), hostile())) {
      Path file = Files.writeString(folder.resolve("report.html"), page);

      Browser.Opened opened = Browser.open(file, folder);

      assertThat(opened.console()).isEmpty();
      assertThat(opened.dom()).containsPattern("<html [^>]*data-ready=\"\\d+\"");
    }
  }

  /** Layers that nobody chose are text; one that is chosen becomes a part of the page. */
  @Test
  void aChosenLayerIsShown() throws Exception {
    String reader =
        "<script>const c = document.getElementById('layer'); c.value = '2';"
            + " c.dispatchEvent(new Event('change'));</script></body>";
    String page =
        RunPage.of(Layers.random(3, 16, 2, SEED))
            // The page's policy would stop the reader that stands in it here.
            .replaceFirst("<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "")
            .replace("</body>", reader);
    assertThat(page).contains("<noscript data-layer=\"2\"><h4>Layer 2");

    Browser.Opened opened =
        Browser.open(Files.writeString(folder.resolve("report.html"), page), folder);

    assertThat(opened.console()).isEmpty();
    assertThat(opened.dom())
        .contains("<div data-layer=\"2\"><h4>Layer 2", "<div data-layer=\"0\" hidden=\"\">")
        .contains("<noscript data-layer=\"1\" hidden=\"\">")
        .doesNotContain("<noscript data-layer=\"2\"");
  }
}
