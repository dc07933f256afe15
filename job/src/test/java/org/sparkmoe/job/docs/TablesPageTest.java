package org.sparkmoe.job.docs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructField;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.job.cli.Cli;

/**
 * {@code docs/tables.md} has the columns that a run writes, in their order and with their types.
 */
@ExtendWith(LocalSpark.class)
final class TablesPageTest {
  private static final Path PAGE = Path.of("docs/tables.md");

  private static final Pattern TABLE =
      Pattern.compile("\\n\\*\\*(\\w+)\\*\\*:[^|]*\\n((?:\\|.*\\n)+)");

  /** A column, and the first word of its type. */
  private static final Pattern COLUMN =
      Pattern.compile("^\\| `(\\w+)` \\| (\\w+)", Pattern.MULTILINE);

  @TempDir private static Path folder;

  @Test
  void hasTheColumnsOfARun(SparkSession spark) throws IOException {
    Path model = folder.resolve("checkpoint");
    DocumentedSession.unpack(model);
    Path run = folder.resolve("run");
    String tokens = model.resolve("reference.safetensors") + "#model.layers.1.mlp.input";
    Cli.execute(
            "run",
            "--model",
            model.toString(),
            "--layer",
            "1",
            "--input",
            tokens,
            "--output",
            run.toString(),
            "--limit",
            "5",
            "--no-report")
        .isDone();

    Map<String, List<String>> written = new LinkedHashMap<>();
    for (String table : List.of("outputs", "routes", "expert_stats", "errors")) {
      List<String> columns = new ArrayList<>();
      for (StructField field :
          spark.read().parquet(run.resolve(table).toString()).schema().fields()) {
        // Of the type of the input.
        String type = field.name().equals("output") ? "as" : field.dataType().sql();
        columns.add(field.name() + " " + type.toUpperCase(Locale.ROOT));
      }
      written.put(table, columns);
    }
    assertThat(documented()).isEqualTo(written);
  }

  private static Map<String, List<String>> documented() throws IOException {
    Map<String, List<String>> tables = new LinkedHashMap<>();
    Matcher table = TABLE.matcher(Files.readString(PAGE));
    while (table.find()) {
      List<String> columns = new ArrayList<>();
      COLUMN
          .matcher(table.group(2))
          .results()
          .forEach(
              found -> columns.add(found.group(1) + " " + found.group(2).toUpperCase(Locale.ROOT)));
      tables.put(table.group(1), columns);
    }
    return tables;
  }
}
