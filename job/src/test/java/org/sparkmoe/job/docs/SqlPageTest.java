package org.sparkmoe.job.docs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.assertj.core.api.SoftAssertions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.job.api.LayerTransform;
import org.sparkmoe.job.api.Moe;
import org.sparkmoe.udfs.sql.MoeFunctions;

/** Every query of {@code docs/sql.md} prints what stands below it. */
@ExtendWith(LocalSpark.class)
final class SqlPageTest {
  private static final Path PAGE = Path.of("docs/sql.md");
  private static final String DEMO = "moe-demo/checkpoint";

  /** A query, and the indented lines that follow it. */
  private static final Pattern BLOCK =
      Pattern.compile("```sql\\n(.*?)```\\n\\n((?:    [^\\n]*\\n)*)", Pattern.DOTALL);

  @TempDir private static Path checkpoint;

  private static SparkSession spark;

  @BeforeAll
  static void demo(SparkSession shared) throws IOException {
    DocumentedSession.unpack(checkpoint);
    spark = DocumentedSession.beside(shared);
    Dataset<Row> tokens =
        spark
            .read()
            .format("moe-safetensors")
            .load(checkpoint.resolve("reference.safetensors") + "#model.layers.1.mlp.input");
    LayerTransform layer = Moe.layer(checkpoint.toString(), 1);
    tokens.createOrReplaceTempView("tokens");
    layer.transform(tokens).createOrReplaceTempView("outputs");
    layer.routes(tokens).createOrReplaceTempView("routes");
  }

  @Test
  void listsEveryFunction() throws IOException {
    assertThat(Files.readString(PAGE)).contains("\n" + MoeFunctions.markdown() + "<!-- end");
  }

  @Test
  void printsWhatItSays() throws IOException {
    Matcher block = BLOCK.matcher(Files.readString(PAGE));
    List<String> queries = new ArrayList<>();
    SoftAssertions softly = new SoftAssertions();
    while (block.find()) {
      String query = block.group(1).strip();
      queries.add(query);
      if (!query.startsWith("CREATE")) {
        softly
            .assertThat(shown(query.substring(0, query.length() - 1)))
            .as(query)
            .isEqualTo(block.group(2).replaceAll("(?m)^    ", ""));
      }
    }
    softly.assertAll();
    assertThat(queries).hasSizeGreaterThan(7);
  }

  @Test
  void theExampleOfTheGateIsRight() {
    String text =
        spark.sql("DESCRIBE FUNCTION EXTENDED moe_gate").collectAsList().stream()
            .map(row -> row.getString(0))
            .filter(line -> line.startsWith("Extended"))
            .findFirst()
            .orElseThrow();
    Matcher example = Pattern.compile("> (SELECT .*);\\n +(.*)").matcher(text);
    assertThat(example.find()).isTrue();
    Row row = spark.sql(example.group(1).replace(DEMO, checkpoint.toString())).first();
    assertThat(String.valueOf(row.get(0))).isEqualTo(example.group(2));
  }

  private static String shown(String query) {
    return DocumentedSession.shown(spark.sql(query.replace(DEMO, checkpoint.toString())));
  }
}
