package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;

/** Queries over the run of two layers and over one of them. */
@ExtendWith(LocalSpark.class)
final class SqlCommandTest {
  @TempDir private static Path folder;

  private static String run;

  @BeforeAll
  static void run() {
    Path model = Fixtures.folder("olmoe");
    run = folder.resolve("run").toString();
    Cli.execute(
            Map.of(),
            List.of(
                "run",
                "--model",
                model.toString(),
                "--layers",
                "0-1",
                "--input",
                model.resolve("reference.safetensors") + "#model.layers.{layer}.mlp.input",
                "--no-report",
                "--output",
                run))
        .isDone();
  }

  @Test
  void tablesOfARunAreViews() {
    String layer = folder.resolve("run/layer=1").toString();
    assertThat(Cli.execute("sql", layer, "-e", "SELECT sum(tokens) AS n FROM expert_stats").out())
        .isEqualTo(
            """
            +---+
            |  n|
            +---+
            |240|
            +---+
            """);
  }

  @Test
  void layersAreToldApart() {
    String query = "SELECT layer, count(*) AS n FROM routes GROUP BY layer ORDER BY layer";
    assertThat(Cli.execute("sql", run, "--format", "json", "-e", query).isDone().out())
        .isEqualTo("{\"layer\":0,\"n\":240}\n{\"layer\":1,\"n\":240}\n");
  }

  @Test
  void statementsComeFromAFileOrStandardInput() throws IOException {
    String text =
        """
        -- a comment; of one line
        CREATE OR REPLACE TEMPORARY VIEW few AS SELECT 'a;b' AS word, array(1.5, 2.5) AS v;
        SELECT word FROM few;
        SELECT element_at(v, 2) AS second FROM few
        """;
    Path file = Files.writeString(folder.resolve("few.sql"), text);
    String expected = "{\"word\":\"a;b\"}\n{\"second\":2.5}\n";
    assertThat(Cli.execute("sql", "-f", file.toString(), "--format", "json").isDone().out())
        .isEqualTo(expected);
    InputStream before = System.in;
    System.setIn(new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)));
    try {
      assertThat(Cli.execute("sql", "-f", "-", "--format", "json").isDone().out())
          .isEqualTo(expected);
    } finally {
      System.setIn(before);
    }
  }

  @Test
  void longTablesAndCellsAreCut() {
    String query = "SELECT id, repeat('x', 9) AS word FROM range(3) ORDER BY id";
    assertThat(Cli.execute("sql", "-e", query, "--rows", "1", "--width", "7").isDone().out())
        .isEqualTo(
            """
            +---+-------+
            | id|   word|
            +---+-------+
            |  0|xxxx...|
            +---+-------+
            only showing top 1 row
            """);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "SELECT nothing FROM routes | nothing",
        "SELEC 1 | 'SELEC'",
        "SELECT * FROM no_such_table | no_such_table",
        "SELECT moe.decode(array(1f), 'f32') | an array needs no decoding",
      })
  void aWrongQueryIsRefused(String query, String word) {
    Cli.execute("sql", run, "-e", query).isRefused(word, query);
  }

  @Test
  void wrongOptionsAreRefused() {
    Cli.execute("sql", "-e", "SELECT 1", "-f", "x.sql").isRefused("-e and -f");
    Cli.execute("sql", "-f", folder.resolve("none.sql").toString()).isRefused("none.sql");
    Cli.execute("sql", "-e", "SELECT 1", "--rows", "0").isRefused("--rows 0", "at least 1");
    Cli.execute("sql", folder.toString(), "-e", "SELECT 1").isRefused("is no run folder");
  }
}
