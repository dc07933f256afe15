package org.sparkmoe.job.report;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.job.report.OutputDifferences.Distance;
import org.sparkmoe.job.report.OutputPair.Kind;

final class ComparePageTest {
  private static final long SEED = 20261129;
  private static final String EVIL = "</script><script>alert(1)</script><img src=x>\"'&\u2028";

  @TempDir private Path folder;

  /** Pages of {@code count} layers, of which the last has nothing to compare. */
  private static List<Comparison> layers(int count, int experts, String path) {
    List<LayerReport> first = Layers.random(count, experts, 8, SEED);
    List<LayerReport> second = Layers.random(count, experts, 8, SEED + 1);
    return IntStream.range(0, count)
        .mapToObj(i -> comparison(first.get(i), second.get(i), path, count > 1 && i == count - 1))
        .toList();
  }

  private static Comparison comparison(LayerReport a, LayerReport b, String path, boolean nothing) {
    ((ObjectNode) a.manifest().at("/backend")).put("chosen", path);
    Random random = new Random(SEED);
    Map<Kind, Long> tokens = new EnumMap<>(Kind.class);
    tokens.put(Kind.COMPARED, 100_000L);
    tokens.put(Kind.ONLY_FIRST, 12L);
    long[] histogram = new long[OutputDifferences.BINS + 1];
    for (int i = 0; i < 20_000; i++) {
      histogram[(int) Math.clamp(6 + 1.5 * random.nextGaussian(), 0, 22)]++;
    }
    List<Distance> worst =
        LongStream.range(0, 10).mapToObj(i -> new Distance(i * 7919, 1e-3 / (i + 1), 0.1)).toList();
    Optional<OutputDifferences> outputs =
        Optional.of(
            new OutputDifferences(tokens, 300, 0, 1e-3, 1.5e-6, 1.1e-7, 1.9e-7, histogram, worst));
    Optional<RouteChanges> routes =
        Optional.of(
            new RouteChanges(
                false, new long[] {80_000, 15_000, 4_000, 800, 150, 50, 0, 0, 0}, 2_000));
    return new Comparison(
        new ComparedLayer(new RunFolder(null, path, a.manifest()), a.experts()),
        new ComparedLayer(new RunFolder(null, "/runs/b", b.manifest()), b.experts()),
        Optional.of(new Comparison.Drift(0.0421, 0.00317)),
        nothing ? Optional.empty() : routes,
        nothing ? Optional.empty() : outputs,
        List.of("a note about " + path));
  }

  @Test
  void textOfARunIsNeverMarkup() {
    String page = ComparePage.of(layers(1, 7, EVIL));

    assertThat(page).doesNotContain("<img", "<script>alert").contains("&lt;img src=x");
    assertThat(Pattern.compile("<script").matcher(page).results()).hasSize(4);
  }

  @Test
  void everyPlotHasATitleAndATable() {
    List<String> figures =
        Pattern.compile("(?s)<figure.*?</figure>")
            .matcher(ComparePage.of(layers(3, 16, "/runs/a")))
            .results()
            .map(MatchResult::group)
            .toList();
    assertThat(figures)
        .hasSize(4)
        .allSatisfy(
            figure ->
                assertThat(figure)
                    .contains("<h3 id=", "role=\"img\" aria-label=\"")
                    .containsPattern(
                        "<details><summary>Table</summary>(?s).*<table[^>]*><caption>"));
  }

  @Test
  void theFiguresAreThere() {
    String page = ComparePage.of(layers(1, 16, "/runs/a"));

    assertThat(page)
        .contains("<dt>tokens with other experts</dt><dd>20.00 %</dd>")
        .contains("<dt>largest distance</dt><dd>1.00e-03</dd>")
        .contains("<td>7919<td>5.00e-04<td>")
        .contains("<tr><td>backend<td>/runs/a<td>onednn");
  }

  @Test
  void theLargestModelOpensWithoutAWord() throws Exception {
    for (String page :
        List.of(ComparePage.of(layers(61, 256, "/a")), ComparePage.of(layers(1, 7, EVIL)))) {
      assertThat(page.getBytes(StandardCharsets.UTF_8).length).isLessThan(2_000_000);
      Path file = Files.writeString(folder.resolve("compare.html"), page);

      Browser.Opened opened = Browser.open(file, folder);

      assertThat(opened.console()).isEmpty();
      assertThat(opened.dom()).containsPattern("<html [^>]*data-ready=\"\\d+\"");
    }
  }
}
