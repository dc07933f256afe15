package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.job.cli.Cli.Outcome;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/** What values options get, from where, and what help says of them. */
@ExtendWith(LocalSpark.class)
final class OptionsTest {
  private static final Pattern OPTION = Pattern.compile("(?m)^\\s+(?:-\\w, )?--([a-z-]+)");

  @TempDir private Path folder;

  private static List<String> explain() {
    Path fixture = Fixtures.folder("olmoe");
    return List.of(
        "explain",
        "--model",
        fixture.toString(),
        "--layer",
        "1",
        "--input",
        fixture.resolve("reference.safetensors") + "#model.layers.1.mlp.input");
  }

  private static List<String> explain(String... more) {
    List<String> args = new ArrayList<>(explain());
    args.addAll(List.of(more));
    return args;
  }

  private Path file(String text) {
    try {
      return Files.writeString(folder.resolve("run.yaml"), text);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static CommandSpec run() {
    return new CommandLine(new MoeCli()).getSubcommands().get("run").getCommandSpec();
  }

  @Test
  void theDefaultIsTwoLanesPerSlot(SparkSession spark) {
    int lanes = 2 * spark.sparkContext().defaultParallelism();

    assertThat(Cli.execute(Map.of(), explain()).isDone().out())
        .contains("ep, %d lanes".formatted(lanes));
  }

  @Test
  void theFileBeatsTheDefault() {
    String file = file("lanes: 5\nbackend: scalar\n").toString();

    assertThat(Cli.execute(Map.of(), explain("--config", file)).isDone().out())
        .contains("ep, 5 lanes")
        .containsPattern("backend +scalar");
    assertThat(Cli.execute(Map.of(), explain("--config=" + file)).isDone().out())
        .contains("ep, 5 lanes");
  }

  @Test
  void settingsBeatTheFile() {
    String file = file("lanes: 5\nbackend: scalar\n").toString();
    Map<String, String> settings = Map.of("spark.moe.lanes", "6", "spark.moe.config", file);

    assertThat(Cli.execute(settings, explain()).isDone().out())
        .contains("ep, 6 lanes")
        .containsPattern("backend +scalar");
  }

  @Test
  void theCommandLineBeatsAll() {
    Path other = folder.resolve("other.yaml");
    String file = file("lanes: 5\n").toString();
    Map<String, String> settings =
        Map.of("spark.moe.lanes", "6", "spark.moe.config", other.toString());

    assertThat(Cli.execute(settings, explain("--lanes", "7", "--config", file)).isDone().out())
        .contains("ep, 7 lanes");
  }

  @Test
  void aSizeCanComeFromAnywhere() {
    String file = file("weight-memory: 3m\n").toString();
    Map<String, String> settings = Map.of("spark.moe.weight-memory", "2m");

    assertThat(Cli.execute(Map.of(), explain("--config", file)).isDone().out())
        .contains("store of 3.00 MiB (--weight-memory)");
    assertThat(Cli.execute(settings, explain("--config", file)).isDone().out())
        .contains("store of 2.00 MiB (--weight-memory)");
    assertThat(Cli.execute(settings, explain("--weight-memory", "1m")).isDone().out())
        .contains("store of 1.00 MiB (--weight-memory)");
    assertThat(Cli.execute(Map.of(), explain()).isDone().out())
        .contains("store as large as needed");
  }

  @Test
  void unitsThatAreTooLargeSayWhatHoldsThemBack() {
    assertThat(Cli.execute(Map.of(), explain("--unit-tokens", "20")).isDone().out())
        .contains(
            """
            units    1: an interrupted run repeats all but the routes
                     asked for 20 tokens; a unit is at least one of the input's partitions, and it has\
             one: --conf spark.sql.files.maxPartitionBytes=8m makes smaller ones
            """);
    assertThat(Cli.execute(Map.of(), explain("--unit-tokens", "1000")).isDone().out())
        .contains("units    1: an")
        .doesNotContain("asked for 1,000");
  }

  @Test
  void everythingCanComeFromTheFile() {
    Path fixture = Fixtures.folder("olmoe");
    String file =
        file("""
        # a whole run
        model: %s
        layer: 1
        input: %s#model.layers.1.mlp.input
        keep-columns: []
        overwrite: false
        dispatch: ep
        """
                .formatted(fixture, fixture.resolve("reference.safetensors")))
            .toString();

    assertThat(Cli.execute("explain", "--config", file).isDone().out())
        .contains("asked for with --dispatch ep");
  }

  @Test
  void flagsHaveTwinsToo() {
    Outcome outcome =
        Cli.execute(
            Map.of("spark.moe.verbose", "true"),
            Cli.with(explain(), "--model", folder.resolve("nowhere").toString()));

    assertThat(outcome.code()).isEqualTo(ExitCode.WRONG_INPUT);
    assertThat(outcome.err()).contains("\tat ");
  }

  @Test
  void anEmptyFileChangesNothing() {
    for (String text : List.of("", "# nothing yet\n", "---\n", "{}\n", "null\n")) {
      Cli.execute(Map.of(), explain("--config", file(text).toString())).isDone();
    }
  }

  @Test
  void everyOptionHasATwin() {
    Set<String> names = OptionNames.of(new CommandLine(new MoeCli()));
    for (OptionSpec option : run().options()) {
      if (option.usageHelp() || option.versionHelp()) {
        continue;
      }
      String name = OptionNames.key(option);
      Defaults defaults = Defaults.of(List.of(), twin(name), names);
      assertThat(defaults.defaultValue(option))
          .as(name)
          .isEqualTo(twin(name).get("spark.moe." + name));
    }
  }

  private Map<String, String> twin(String name) {
    return Map.of("spark.moe." + name, name.equals("config") ? file("").toString() : "value");
  }

  @Test
  void theExampleFileKnowsEveryOption() throws IOException {
    String example = Files.readString(Path.of("..", "conf", "jobs", "example.yaml"));
    for (OptionSpec option : run().options()) {
      String name = OptionNames.key(option);
      if (!Set.of("help", "version", "verbose", "config").contains(name)) {
        assertThat(example).containsPattern("(?m)^(# )?" + name + ": ");
      }
    }
  }

  @Test
  void settingsThatAreNoOptionsOfACommandPass() {
    Map<String, String> settings =
        Map.of(
            "spark.moe.cache.dir",
            folder.toString(),
            "spark.moe.natives.dir",
            folder.toString(),
            "spark.moe.vector.bits",
            "128");

    Cli.execute(settings, explain()).isDone();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--dispatch=EP",
        "--backend=Scalar",
        "--placement=Round-Robin",
        "--input-format=SafeTensors",
        "--hidden-dtype=F32",
        "--activation-quant=None",
        "--activation-quant=AUTO",
      })
  void valuesIgnoreCase(String option) {
    Cli.execute(Map.of(), explain(option)).isDone();
  }

  @ParameterizedTest
  @ValueSource(strings = {"run", "explain", "verify", "inspect", "quantize", "report", "demo"})
  void helpNamesEachOptionOnce(String command) {
    String help = Cli.execute(command, "--help").isDone().out();

    List<String> named =
        OPTION.matcher(help).results().map((MatchResult found) -> found.group(1)).sorted().toList();
    List<String> expected =
        new CommandLine(new MoeCli())
            .getSubcommands().get(command).getCommandSpec().options().stream()
                .map(OptionNames::key)
                .sorted()
                .toList();
    assertThat(named).containsExactlyElementsOf(expected);
    assertThat(help).startsWith("Usage: moe " + command).contains("Exit codes");
    assertThat(help.lines()).allSatisfy(line -> assertThat(line).doesNotEndWith(" "));
  }

  @Test
  void helpOfTheRootNamesEachCommandOnce() {
    for (String[] args : new String[][] {{"--help"}, {"help"}}) {
      String help = Cli.execute(args).isDone().out();

      assertThat(help).startsWith("Usage: moe ").contains("Exit codes");
      for (String command :
          new TreeSet<>(
              List.of(
                  "run",
                  "explain",
                  "verify",
                  "inspect",
                  "quantize",
                  "report",
                  "demo",
                  "generate-completion",
                  "help"))) {
        assertThat(help).as(command).containsOnlyOnce("\n  " + command + " ");
      }
    }
  }

  @Test
  void theVersionTellsWhatItRunsOn() {
    assertThat(Cli.execute("--version").isDone().out().lines())
        .satisfiesExactly(
            line -> assertThat(line).startsWith("Spark MoE "),
            line -> assertThat(line).matches("Spark 4\\.2\\.\\d.*, Scala 2\\.13\\.\\d+"),
            line ->
                assertThat(line).startsWith("Java 25.").contains(System.getProperty("os.arch")));
  }
}
