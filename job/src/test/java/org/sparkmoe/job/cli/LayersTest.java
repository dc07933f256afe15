package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.cli.Cli.Outcome;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.run.Interrupted;
import org.sparkmoe.kernels.backend.BackendSelector;

/** Runs over several layers, over few tokens, and those that only check. */
@ExtendWith(LocalSpark.class)
final class LayersTest {
  @TempDir private Path folder;

  private List<String> run(String... more) {
    Path fixture = Fixtures.folder("qwen2_moe");
    List<String> args =
        new ArrayList<>(
            List.of(
                "run",
                "--model",
                fixture.toString(),
                "--input",
                fixture.resolve("reference.safetensors") + "#model.layers.{layer}.mlp.input",
                "--output",
                folder.resolve("runs").toString(),
                "--backend",
                "scalar",
                "--limit",
                "5",
                "--no-report"));
    args.addAll(List.of(more));
    return args;
  }

  private Outcome execute(String... more) {
    return Cli.execute(Map.of(), run(more));
  }

  @Test
  void eachLayerHasARunAndAllTogetherAManifest(SparkSession spark) throws Exception {
    assertThat(execute("--layers", "0-1").isDone().out())
        .contains("layer    0 of", "layer    1 of", "layer=0\n", "layer=1\n");

    JsonNode manifest = new ObjectMapper().readTree(folder.resolve("runs/manifest.json").toFile());
    assertThat(manifest.at("/layers/0/path").asText()).isEqualTo("layer=0");
    assertThat(manifest.at("/layers/1/tokens").asInt()).isEqualTo(5);
    // one table of all layers, as Spark reads folders named so
    String runs = folder.resolve("runs").toString();
    assertThat(
            spark
                .read()
                .option("basePath", runs)
                .parquet(runs + "/layer=*/routes")
                .groupBy("layer")
                .count()
                .orderBy("layer")
                .collectAsList())
        .extracting(row -> row.getInt(0), row -> row.getLong(1))
        .containsExactly(tuple(0, 20L), tuple(1, 20L));
    // the same as the layer alone, whose input may be named by its number too
    Path alone = folder.resolve("alone");
    Cli.execute(Map.of(), Cli.with(run("--layer", "1"), "--output", alone.toString())).isDone();
    Cli.execute(
            "verify",
            "--run",
            alone.toString(),
            "--reference",
            runs + "/layer=1",
            "--tolerance",
            "0")
        .isDone();
  }

  @Test
  void allIsCheckedBeforeTheFirstLayerStarts() {
    execute("--layers", "0,1,2").isRefused("layer 2 does not exist");
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void aLayerThatIsThereIsNotReplacedUnasked() {
    execute("--layers", "1").isDone();
    execute("--layers", "0,1").isRefused("layer=1 exists; add --overwrite");
    assertThat(folder.resolve("runs/manifest.json")).exists();
    execute("--layers", "0,1", "--overwrite").isDone();
    assertThat(folder.resolve("runs/layer=0/manifest.json")).exists();
  }

  @Test
  void layersThatAreDoneAreKeptAndTheInterruptedOneIsGoneOnWith(SparkSession spark)
      throws Exception {
    List<String> both =
        Cli.with(run("--layers", "0,1", "--resume", "--dispatch", "replicated"), "--limit", null);
    Cli.execute(Map.of(), Cli.with(both, "--layers", "0")).isDone();
    Path manifest = folder.resolve("runs/manifest.json");
    Files.delete(manifest);
    FileTime first = Files.getLastModifiedTime(folder.resolve("runs/layer=0/manifest.json"));
    interrupt(spark, 1);

    Cli.execute(Map.of(), Cli.with(both, "--limit", "4"))
        .isRefused("layer=0 holds another run: --limit was none, now it is 4");
    assertThat(Cli.execute(Map.of(), both).isDone().out())
        .contains("layer=0\n         the run was finished before", "resume   ", "in attempt 2")
        .contains("results  " + folder.resolve("runs/layer=1"));

    assertThat(Files.getLastModifiedTime(folder.resolve("runs/layer=0/manifest.json")))
        .isEqualTo(first);
    JsonNode layers = new ObjectMapper().readTree(manifest.toFile()).get("layers");
    assertThat(layers).extracting(layer -> layer.get("tokens").asInt()).containsExactly(60, 60);
    assertThat(layers.get(0).get("seconds").asDouble()).isPositive();
    FileTime written = Files.getLastModifiedTime(manifest);
    assertThat(Cli.execute(Map.of(), both).isDone().out().split("was finished before", -1))
        .hasSize(3);
    assertThat(Files.getLastModifiedTime(manifest)).isEqualTo(written);
    try (Stream<Path> left = Files.list(folder.resolve("runs"))) {
      assertThat(left.map(path -> path.getFileName().toString()))
          .contains("layer=0", "layer=1", "manifest.json")
          .noneMatch(name -> name.contains("staging"));
    }
  }

  /** Layer {@code layer} of the same run, failed after its routes. */
  private void interrupt(SparkSession spark, int layer) {
    Path fixture = Fixtures.folder("qwen2_moe");
    String tensor = "#model.layers.%d.mlp.input".formatted(layer);
    JobRequest request =
        Interrupted.request(
            fixture.toString(),
            layer,
            TokenOptions.of(fixture.resolve("reference.safetensors") + tensor),
            folder.resolve("runs/layer=" + layer).toString(),
            BackendSelector.Request.parse("scalar"));
    assertThat(Interrupted.run(spark, request, 3, 2)).isNotNull();
  }

  @Test
  void oneLayerAndSeveralDoNotShareAFolder() {
    execute("--layer", "1").isDone();
    execute("--layers", "0,1").isRefused("is a run over one layer; name another folder");
    execute("--layer", "1", "--layers", "0").isRefused("exclude each other");
    Cli.execute(
            Map.of(), Cli.with(run("--layers", "0,1"), "--input", folder.resolve("x").toString()))
        .isRefused("is the same for all of --layers 0,1; put {layer}");
  }

  @Test
  void aDryRunChecksAndWritesNothing() throws Exception {
    assertThat(execute("--layer", "1", "--dry-run").isDone().out())
        .contains("5 rows in ", "dispatch ", "dry run: nothing was computed, nothing was written");
    assertThat(execute("--layers", "0,1", "--dry-run").isDone().out())
        .contains("layer    0 of", "layer    1 of", "dry run");
    assertThat(folder).isEmptyDirectory();

    Path there = Files.createDirectory(folder.resolve("runs"));
    Files.writeString(there.resolve("notes.txt"), "mine");
    execute("--layer", "1", "--dry-run").isRefused("exists and is no run");
    try (Stream<Path> left = Files.list(there)) {
      assertThat(left).hasSize(1);
    }
  }

  @Test
  void aRunOfNothingNewIsDone(SparkSession spark) {
    assertThat(execute("--layer", "1", "--since", "token_id=100000").isDone().out())
        .contains("0 tokens, 0 routes, 0 errors");
    for (String table : List.of("outputs", "routes", "errors")) {
      assertThat(spark.read().parquet(folder.resolve("runs").resolve(table).toString()).count())
          .isZero();
    }
  }

  @Test
  void aSampleIsInTheManifest() throws Exception {
    execute("--layer", "1", "--sample", "0.5", "--since", "token_id=2").isDone();

    JsonNode options =
        new ObjectMapper().readTree(folder.resolve("runs/manifest.json").toFile()).get("options");
    assertThat(options.get("sample").asDouble()).isEqualTo(0.5);
    assertThat(options.get("since").asText()).isEqualTo("token_id=2");
  }
}
