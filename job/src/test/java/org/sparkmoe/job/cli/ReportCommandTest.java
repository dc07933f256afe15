package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.job.report.Reports;

/** The page of a run, as commands make it. */
@ExtendWith(LocalSpark.class)
final class ReportCommandTest {
  @TempDir private Path folder;

  private Cli.Outcome run(Path output, String... more) {
    Path fixture = Fixtures.folder("olmoe");
    List<String> args =
        new ArrayList<>(
            List.of(
                "run",
                "--model",
                fixture.toString(),
                "--layer",
                "1",
                "--input",
                fixture.resolve("reference.safetensors") + "#model.layers.1.mlp.input",
                "--dispatch",
                "ep",
                "--lanes",
                "3",
                "--output",
                output.toString()));
    args.addAll(List.of(more));
    return Cli.execute(Map.of(), args);
  }

  /** Every pair that a join of the routes with themselves finds is in the page's table. */
  @Test
  void aRunHasAPageOfItsRoutes(SparkSession spark) throws IOException {
    Path run = folder.resolve("run");

    assertThat(run(run).isDone().out()).contains("report   " + run.resolve("report.html"));

    String page = Files.readString(run.resolve("report.html"));
    spark.read().parquet(run + "/routes").createOrReplaceTempView("report_routes");
    var strongest =
        spark
            .sql(
                """
                SELECT a.expert_id AS first, b.expert_id AS second, count(*) AS n
                FROM report_routes a JOIN report_routes b
                  ON a.token_id = b.token_id AND a.expert_id < b.expert_id
                GROUP BY ALL ORDER BY n DESC, first, second LIMIT 20
                """)
            .collectAsList();
    assertThat(strongest).hasSize(20);
    strongest.forEach(
        row ->
            assertThat(page)
                .contains(
                    "<tr><td>%s<td>%s<td>%s<td>".formatted(row.get(0), row.get(1), row.get(2))));
    assertThat(page).contains("Load of lanes", "asked for with --dispatch ep");
  }

  @Test
  void aPageCanBeLeftOutAndMadeLater() {
    Path run = folder.resolve("run");
    String page = run.resolve("report.html").toString();
    String other = folder.resolve("other.html").toString();

    assertThat(run(run, "--no-report").isDone().out()).doesNotContain("report.html");
    assertThat(Path.of(page)).doesNotExist();
    assertThat(Cli.execute("report", run.toString()).isDone().out()).contains("report   " + page);
    Cli.execute("report", run.toString(), "--output", other).isDone();
    assertThat(Path.of(other)).hasSameTextualContentAs(Path.of(page));
  }

  /** Lanes change no bit, so only facts and times differ. */
  @Test
  void twoRunsAreSetSideBySide() throws IOException {
    Path a = folder.resolve("a");
    Path b = folder.resolve("b");
    run(a, "--no-report").isDone();
    run(b, "--no-report", "--backend", "scalar", "--sample", "0.5").isDone();
    String page = b.resolve("compare-with-a.html").toString();

    String out = Cli.execute("report", "--compare", a.toString(), b.toString()).isDone().out();

    assertThat(out)
        .contains(
            "A        " + a + ", layer 1, 60 tokens",
            "\n         weights bf16; activations f32\nB        " + b + ", layer 1, ",
            "\n         weights bf16; activations f32\ndiffer ",
            "differ   option backend, backend, count of rows, count of tokens, count of routes,"
                + " option sample")
        .containsPattern("routing  total variation 0\\.\\d+, Jensen-Shannon 0\\.\\d+ bits")
        .containsPattern("         0 of \\d+ tokens have other experts \\(0.00 %\\), 0 of")
        .containsPattern(
            "outputs  (\\d+) compared, \\d+ of them equal; \\d+ only in A, 0 only in B, 0")
        .containsPattern("relative L2: median \\d\\.\\d\\de-0[78], p99")
        .endsWith("report   " + page + "\n");
    assertThat(Path.of(page)).content().contains("run A beside run B");
    // a page gives way to a page, which is told
    assertThat(Cli.execute("report", "--compare", a.toString(), b.toString()).isDone().out())
        .endsWith("report   " + page + ", in place of an earlier page\n");
  }

  @Test
  void thePageOfAComparisonIsNamedAfterTheOtherRun(SparkSession spark) {
    assertThat(Reports.comparisonOf(spark, "/runs/a", "/runs/b"))
        .isEqualTo("/runs/b/compare-with-a.html");
    assertThat(Reports.comparisonOf(spark, "/runs/monday/layer=3", "/runs/friday/layer=3/"))
        .isEqualTo("/runs/friday/layer=3/compare-with-monday-layer=3.html");
    assertThat(Reports.comparisonOf(spark, "/runs/a", "/runs/a"))
        .isEqualTo("/runs/a/compare-with-a.html");
  }

  @Test
  void aComparisonTakesTwoRuns() {
    Cli.execute("report", "--compare", "one").isRefused("--compare takes two runs", "one");
    Cli.execute("report", "one", "two").isRefused("2 are given", "--compare");
    Cli.execute("report", "--compare", folder + "/lost", folder + "/more")
        .isRefused("lost does not exist", "--output of a run");
  }

  @Test
  void wrongInputIsOneLine() throws IOException {
    Path letter = Files.writeString(folder.resolve("letter.html"), "Dear");
    Path empty = Files.createDirectory(folder.resolve("empty"));
    Path broken = Files.createDirectory(folder.resolve("broken"));
    Files.writeString(broken.resolve("manifest.json"), "{ no");
    Path bare = Files.createDirectory(folder.resolve("bare"));
    Files.writeString(bare.resolve("manifest.json"), "{}");

    Cli.execute("report").isRefused("RUN", "moe report --help");
    Cli.execute("report", folder + "/lost").isRefused("lost does not exist", "--output");
    Cli.execute("report", empty.toString()).isRefused("empty", "no manifest.json");
    Cli.execute("report", broken.toString()).isRefused("broken", "cannot be read");
    Cli.execute("report", bare.toString()).isRefused("bare/expert_stats", "complete run");
    Cli.execute("report", bare.toString(), "--output", letter.toString())
        .isRefused("letter.html", "no report", "name another");
    Cli.execute("report", bare.toString(), "--output", empty.toString())
        .isRefused("empty is a folder", "name a file");
    assertThat(letter).hasContent("Dear");
  }

  /** A run is worth more than its page. */
  @Test
  void aPageThatFailsIsToldAndThrowsNothing(SparkSession spark) {
    new RunReport(spark, true).addTo(folder.resolve("nowhere").toString());
  }
}
