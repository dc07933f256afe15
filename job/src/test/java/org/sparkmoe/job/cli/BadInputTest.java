package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tensor.TensorFixture;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.job.cli.Cli.Outcome;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.Probes;

/**
 * Whatever is wrong with what a user gives: exit code 2, one line with the value, the limit and the
 * remedy, and nothing written.
 */
@ExtendWith(LocalSpark.class)
final class BadInputTest {
  @TempDir private static Path folder;

  /** Everything here was there before the command ran. */
  private static Path out;

  private static Path tokens;

  /** A command line with one thing wrong, and words of the answer. */
  record Case(String name, Map<String, String> settings, List<String> args, String... words) {
    @Override
    public String toString() {
      return name;
    }
  }

  /** A file that is no safetensors file, and words that say why. */
  record Damaged(String name, byte[] bytes, String word) {}

  @BeforeAll
  static void makeTokens(SparkSession spark) throws IOException {
    out = Files.createDirectory(folder.resolve("out"));
    tokens = folder.resolve("tokens.parquet");
    spark
        .sql(
            """
            SELECT id AS token_id, array_repeat(CAST(0.5 AS FLOAT), 64) AS hidden,
                   CAST(id AS STRING) AS name, unhex(repeat('00', 256)) AS bytes,
                   array('x') AS words, id AS output
            FROM range(4)
            """)
        .coalesce(1)
        .write()
        .parquet(tokens.toString());
    spark
        .sql("SELECT id AS token_id, array(1F) AS hidden FROM range(0)")
        .write()
        .parquet(folder.resolve("none.parquet").toString());
  }

  @AfterEach
  void leftNothing() throws IOException {
    try (Stream<Path> left = Files.list(out)) {
      assertThat(left).isEmpty();
    }
  }

  private static List<String> run() {
    return List.of(
        "run",
        "--model",
        Fixtures.folder("olmoe").toString(),
        "--layer",
        "1",
        "--input",
        tokens.toString(),
        "--output",
        out.resolve("run").toString());
  }

  private static Case given(String name, String option, String value, String... words) {
    return new Case(name, Map.of(), Cli.with(run(), option, value), words);
  }

  private static Case missing(String option) {
    return given("no " + option, option, null, "Missing required option", option, "--help");
  }

  private static Case flag(String flag, String... words) {
    return new Case(flag, Map.of(), Stream.concat(run().stream(), Stream.of(flag)).toList(), words);
  }

  private static Case setting(String key, String value, String... words) {
    return new Case(key + "=" + value, Map.of(key, value), run(), words);
  }

  private static Case yaml(String name, String text, String... words) {
    Path file = write(folder.resolve(name.replace(' ', '-') + ".yaml"), bytes(text));
    return given("file with " + name, "--config", file.toString(), words);
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static Path write(Path file, byte[] bytes) {
    try {
      Files.createDirectories(file.getParent());
      return Files.write(file, bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A copy of a fixture whose configuration reads otherwise. */
  private static String checkpoint(String name, String family, String from, String to) {
    Path copy = folder.resolve("checkpoint-" + name);
    try {
      Files.createDirectories(copy);
      Fixtures.copy(family, copy);
      String config = Files.readString(copy.resolve("config.json"));
      assertThat(config).contains(from);
      Files.writeString(copy.resolve("config.json"), config.replace(from, to));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return copy.toString();
  }

  static Stream<Case> models() {
    String packed = checkpoint("packed", "olmoe", "\"vocab_size\"", "\"vocab_size\"");
    quantize(Path.of(packed, "model.safetensors"));
    String empty = folder.resolve("empty").toString();
    assertThat(folder.resolve("empty").toFile().mkdir()).isTrue();
    String bare = write(folder.resolve("bare/README.md"), bytes("x")).getParent().toString();
    String weightless = checkpoint("weightless", "olmoe", "\"vocab_size\"", "\"vocab_size\"");
    assertThat(Path.of(weightless, "model.safetensors").toFile().delete()).isTrue();
    return Stream.of(
        given("no model", "--model", folder.resolve("nowhere").toString(), "nowhere", "download"),
        given("a file as model", "--model", tokens + "/_SUCCESS", "is a file", "folder"),
        given("an empty folder", "--model", empty, empty, "empty", "download"),
        given("no config.json", "--model", bare, bare, "config.json", "download"),
        given("no weights", "--model", weightless, "model.safetensors", "download"),
        given("blank model", "--model", "", "\"\"", "folder"),
        given("unknown scheme", "--model", "gopher://x/y", "gopher", "path"),
        new Case(
            "a dense layer",
            Map.of(),
            Cli.with(
                Cli.with(run(), "--model", Fixtures.folder("deepseek_v3").toString()),
                "--layer",
                "0"),
            "layer 0 is dense",
            "layers with experts are 1"),
        given("no such layer", "--layer", "2", "layer 2 does not exist", "0-1"),
        given("a negative layer", "--layer", "-1", "layer -1 does not exist", "0-1"),
        given("a layer of words", "--layer", "first", "'first'", "--help"),
        given("a layer beyond int", "--layer", "4294967296", "'4294967296'", "--help"),
        given(
            "an unknown family",
            "--model",
            checkpoint("family", "olmoe", "\"model_type\": \"olmoe\"", "\"model_type\": \"bert\""),
            "\"bert\"",
            "supported are",
            "mixtral"),
        given(
            "an unknown activation",
            "--model",
            checkpoint("act", "olmoe", "\"silu\"", "\"relu7\""),
            "\"relu7\"",
            "hidden_act",
            "silu"),
        given(
            "another width than the weights'",
            "--model",
            checkpoint("width", "olmoe", "\"hidden_size\": 64", "\"hidden_size\": 32"),
            "32",
            "64"),
        given(
            "a configuration that is no JSON",
            "--model",
            checkpoint("json", "olmoe", "{", "["),
            "config.json"),
        given(
            "weights of integers",
            "--model",
            packed,
            "I16",
            "formats that the documentation lists"));
  }

  /** Makes the weights integers of the same width, as packed codes are. */
  private static void quantize(Path weights) {
    try {
      String file = Files.readString(weights, StandardCharsets.ISO_8859_1);
      Files.writeString(weights, file.replace("\"BF16\"", "\"I16\" "), StandardCharsets.ISO_8859_1);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static Stream<Case> inputs() {
    String narrow = folder.resolve("narrow.safetensors").toString();
    TensorFixture.write(Path.of(narrow), TensorFixture.counting("x", "F32", 4, 3, 32));
    String words = write(folder.resolve("words.dat"), bytes("no tokens here")).toString();
    String csv = write(folder.resolve("t.csv.gz"), bytes("token_id,hidden")).toString();
    String parquet = write(folder.resolve("bad.parquet"), bytes("PAR1 no, not really")).toString();
    String arrow = write(folder.resolve("bad.arrow"), bytes("ARROW1\0\0 cut")).toString();
    String reference = Fixtures.folder("olmoe").resolve("reference.safetensors").toString();
    return Stream.of(
        given(
            "no input",
            "--input",
            folder + "/lost.parquet",
            "lost.parquet",
            "does not exist",
            "give"),
        given("no match of a glob", "--input", folder + "/lost-*", "lost-*", "does not exist"),
        given("blank input", "--input", "", "empty", "give"),
        given("an empty folder", "--input", out.toString(), "no data files", "give"),
        given("no rows", "--input", folder + "/none.parquet", "no rows", "give"),
        given("some bytes", "--input", words, "words.dat", "--input-format parquet, arrow"),
        given(
            "a table as text",
            "--input",
            csv,
            "t.csv.gz",
            "not read",
            "write the table as Parquet"),
        given("damaged Parquet", "--input", parquet, "bad.parquet"),
        given("damaged Arrow", "--input", arrow, "bad.arrow"),
        given("no such tensor", "--input", reference + "#nope", "\"nope\"", "nearest"),
        given("no tensor named", "--input", reference, "#", "tensor"),
        given("no safetensors file", "--input", folder + "/lost.safetensors#x", "lost", "give"),
        given("another width", "--input", narrow + "#x", "32", "64", "give"),
        given(
            "no hidden column",
            "--hidden-column",
            "vec",
            "\"vec\"",
            "its columns are",
            "\"hidden\"",
            "; name yours with --hidden-column"),
        new Case(
            "neither column",
            Map.of(),
            Cli.with(Cli.with(run(), "--hidden-column", "vec"), "--token-id-column", "row"),
            "has no token id column \"row\" and no hidden column \"vec\"; its columns are",
            "; name yours with --token-id-column and --hidden-column"),
        given("hidden of text", "--hidden-column", "name", "STRING", "use ARRAY<FLOAT>"),
        given("hidden of texts", "--hidden-column", "words", "ARRAY<STRING>", "use ARRAY<FLOAT>"),
        given(
            "no id column",
            "--token-id-column",
            "row",
            "\"row\"",
            "name yours with --token-id-column"),
        given("ids of text", "--token-id-column", "name", "STRING", "use BIGINT"),
        given("unknown dtype", "--hidden-dtype", "int4", "int4", "use f32"),
        given("a dtype for an array", "--hidden-dtype", "bf16", "bf16", "leave the option out"),
        given("unknown format", "--input-format", "csv", "csv is not read", "use auto", "Parquet"),
        given("another format", "--input-format", "arrow", "arrow", "tokens.parquet"),
        given(
            "no kept column",
            "--keep-columns",
            "name,lost",
            "no kept column \"lost\"; its columns are",
            "; name yours with --keep-columns"),
        given("a kept column twice", "--keep-columns", "name,NAME", "NAME", "once"),
        given("a kept column that clashes", "--keep-columns", "output", "output", "rename"),
        given("a limit of 0", "--limit", "0", "limit 0", "from 1"),
        given("a negative limit", "--limit", "-3", "limit -3", "from 1"));
  }

  static Stream<Case> options() {
    return Stream.of(
        missing("--model"),
        given("no --layer", "--layer", null, "'--layer=N'", "moe inspect lists them", "--help"),
        missing("--input"),
        missing("--output"),
        flag("--fast", "--fast", "--help"),
        flag("again", "again", "--help"),
        flag("--layer=2", "--layer", "once", "--help"),
        given("unknown backend", "--backend", "tpu", "tpu", "choose auto"),
        given("unknown dispatch", "--dispatch", "epp", "epp", "choose auto, ep or replicated"),
        given("unknown placement", "--placement", "random", "random", "choose balanced, linear"),
        given("unknown combine", "--combine", "fast", "fast", "choose expert-order or lane-order"),
        given("fewer copies than none", "--redundant-experts", "-1", "-1", "at least 0"),
        given("unknown quantization", "--activation-quant", "fp8", "fp8", "choose auto"),
        given("no lanes", "--lanes", "0", "--lanes 0", "1 to 16"),
        given("a size that is none", "--weight-memory", "2x", "--weight-memory 2x", "512m or 2g"),
        given("a broken size", "--weight-memory", "1.5g", "--weight-memory 1.5g", "512m or 2g"),
        given("no weight memory", "--weight-memory", "0", "--weight-memory 0", "more than 0"),
        given("less than none", "--weight-memory", "-1", "--weight-memory -1", "512m or 2g"),
        given("too little for one expert", "--weight-memory", "10k", "10.0 KiB", "minimum of"),
        given("more lanes than experts", "--lanes", "17", "--lanes 17", "1 to 16"),
        given("less than no errors", "--max-errors", "-1", "--max-errors -1", "at least 0"),
        new Case(
            "unknown command",
            Map.of(),
            List.of("score"),
            "command score",
            "choose run",
            "moe --help"),
        new Case("no command", Map.of(), List.of(), "missing command", "run, explain"),
        setting("spark.moe.lane", "3", "spark.moe.lane", "known are", "lanes"),
        setting("spark.moe.", "3", "spark.moe.", "known are"),
        setting("spark.moe.lanes", "few", "few", "--help"),
        given(
            "no run file",
            "--config",
            folder + "/lost.yaml",
            "lost.yaml",
            "does not exist",
            "--config"),
        given("a folder as run file", "--config", folder.toString(), folder.toString(), "--config"),
        given("a strange run file", "--config", "a\0b", "--config"),
        yaml("an unknown key", "lane: 3\n", "lane ", "known are", "lanes"),
        yaml("a map", "layer:\n  first: 1\n", "layer", "map", "give one value"),
        yaml("a map in a list", "keep-columns:\n- a: b\n", "keep-columns", "give"),
        yaml("no value", "layer:\n", "layer", "no value", "remove"),
        yaml("a list", "- layer\n", "map of option names"),
        yaml("a word", "layer\n", "map of option names"),
        yaml("a key twice", "lanes: 3\nlanes: 4\n", "lanes"),
        yaml("a wrong value", "lanes: many\n", "many", "--help"),
        yaml("bad syntax", "layer: [1\n", "map of option names"),
        yaml("a run file", "config: other.yaml\n", "config", "remove"));
  }

  @ParameterizedTest
  @MethodSource({"models", "inputs", "options"})
  void isRefusedInALine(Case bad) {
    Cli.execute(bad.settings(), bad.args()).isRefused(bad.words());
  }

  static Stream<Damaged> damaged() throws IOException {
    byte[] good = Files.readAllBytes(Fixtures.folder("olmoe").resolve("model.safetensors"));
    String f32 = "{\"dtype\":\"F32\",\"shape\":[%d],\"data_offsets\":[%d,%d]}";
    String deep = "[".repeat(100) + "]".repeat(100);
    return Stream.of(
        new Damaged("nothing", new byte[0], "0 bytes"),
        new Damaged("cut off data", Arrays.copyOf(good, good.length - 100), "truncated"),
        new Damaged("cut off header", Arrays.copyOf(good, 100), "bytes"),
        new Damaged("long header", framed(1L << 40, bytes("{}"), 0), "header"),
        new Damaged("negative header", framed(-1, bytes("{}"), 0), "header"),
        damaged(
            "overlap",
            "{\"x\":" + f32.formatted(2, 0, 8) + ",\"y\":" + f32.formatted(2, 4, 12) + "}",
            12,
            "\"y\""),
        damaged(
            "a name twice",
            "{\"x\":" + f32.formatted(1, 0, 4) + ",\"x\":" + f32.formatted(1, 4, 8) + "}",
            8,
            "uplicate"),
        damaged("another size", "{\"x\":" + f32.formatted(3, 0, 8) + "}", 8, "12 bytes"),
        damaged(
            "an overflow",
            "{\"x\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}",
            8,
            "overflows"),
        damaged("deep JSON", "{\"x\":" + deep + "}", 0, "\"x\""),
        damaged("deep keys", "{\"x\":".repeat(100) + "1" + "}".repeat(100), 0, "\"x\""),
        damaged("line breaks", "{\"x\":{\"a\\nb\\u001b[31m\":1}}", 0, "unknown key"),
        new Damaged(
            "no UTF-8",
            framed(
                12,
                new byte[] {
                  '{', '"', (byte) 0xff, (byte) 0xfe, '"', ':', '{', '}', '}', ' ', ' ', ' '
                },
                0),
            "UTF-8"));
  }

  private static Damaged damaged(String name, String header, int data, String word) {
    byte[] json = bytes(header);
    return new Damaged(name, framed(json.length, json, data), word);
  }

  private static byte[] framed(long length, byte[] header, int data) {
    return ByteBuffer.allocate(8 + header.length + data)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(length)
        .put(header)
        .array();
  }

  @ParameterizedTest
  @MethodSource("damaged")
  void damagedSafetensorsAreRefused(Damaged damaged) throws IOException {
    Path model = folder.resolve("damaged-" + damaged.name());
    Files.createDirectories(model);
    Fixtures.copy("olmoe", model);
    Path file = write(model.resolve("model.safetensors"), damaged.bytes());

    Cli.execute(Map.of(), Cli.with(run(), "--model", model.toString()))
        .isRefused(file.toString(), damaged.word());
    Cli.execute(Map.of(), Cli.with(run(), "--input", file + "#x"))
        .isRefused(file.toString(), damaged.word());
    Cli.execute("inspect", "--model", model.toString()).isRefused(file.toString(), damaged.word());
  }

  @ParameterizedTest
  @EnumSource(names = {"CUDA"})
  void aBackendThatCannotRunIsRefusedWithTheReason(Backend backend) {
    var reason = Probes.gather(List.of(backend)).refusal(backend);
    assumeTrue(reason.isPresent(), backend + " runs here");

    Cli.execute(Map.of(), Cli.with(run(), "--backend", backend.option()))
        .isRefused("backend " + backend.option() + " cannot run here", reason.get());
  }

  @Test
  void explainAndInspectRefuseAlike() {
    List<String> explain =
        Stream.concat(Stream.of("explain"), Cli.with(run(), "--layer", "7").stream().skip(1))
            .toList();

    Cli.execute(Map.of(), explain).isRefused("layer 7 does not exist", "0-1");
    Cli.execute("inspect", "--model", folder + "/nowhere").isRefused("nowhere", "download");
    Cli.execute("inspect").isRefused("--model", "moe inspect --help");
    Cli.execute("inspect", folder + "/nowhere").isRefused("nowhere", "download");
    Cli.execute("inspect", "a", "--model", "b").isRefused("two folders", "a and --model b");
  }

  @Test
  void aStackTraceIsShownOnRequest() {
    Outcome outcome =
        Cli.execute(
            Map.of(),
            Stream.concat(Cli.with(run(), "--layer", "7").stream(), Stream.of("--verbose"))
                .toList());

    assertThat(outcome.code()).isEqualTo(ExitCode.WRONG_INPUT);
    assertThat(outcome.err()).startsWith("moe: ").contains("InputException", "\tat ");
  }

  /** What is at the output path stays as it is. */
  @Test
  void whatIsThereIsKept(@TempDir Path place) throws IOException {
    Path file = write(place.resolve("file"), bytes("precious"));
    Path photos = write(place.resolve("photos/one.jpg"), bytes("precious")).getParent();
    Path earlier = write(place.resolve("earlier/manifest.json"), bytes("{}")).getParent();
    Map<String, String> before = contents(place);

    to(file).isRefused("is a file", "name a folder");
    to(file, "--overwrite").isRefused("is a file", "name a folder");
    assertThat(to(photos).refusal("exists and is no run", "manifest.json", "name another folder"))
        .doesNotContain("--overwrite");
    to(photos, "--overwrite")
        .isRefused("is no run", "manifest.json", "replaces only runs", "name another folder");
    to(earlier).isRefused("exists", "--overwrite");
    to(file.resolve("below")).isRefused("below", "cannot be");
    to(Path.of("/")).isRefused("/");
    to(Path.of("/"), "--overwrite").isRefused("/");
    assertThat(contents(place)).isEqualTo(before);
  }

  @Test
  void anEarlierRunOutlivesARefusedOne(@TempDir Path place) throws IOException {
    Path earlier = write(place.resolve("earlier/manifest.json"), bytes("{}")).getParent();
    Map<String, String> before = contents(place);

    for (String[] bad :
        new String[][] {
          {"--layer", "7"}, {"--lanes", "99"}, {"--input", "nowhere"}, {"--hidden-column", "name"}
        }) {
      List<String> args = Cli.with(run(), "--output", earlier.toString());
      args = Cli.with(args, bad[0], bad[1]);
      Cli.execute(Map.of(), Stream.concat(args.stream(), Stream.of("--overwrite")).toList())
          .isRefused(bad[1]);
    }
    assertThat(contents(place)).isEqualTo(before);
  }

  private static Outcome to(Path output, String... flags) {
    return Cli.execute(
        Map.of(),
        Stream.concat(Cli.with(run(), "--output", output.toString()).stream(), Arrays.stream(flags))
            .toList());
  }

  private static Map<String, String> contents(Path place) throws IOException {
    Map<String, String> contents = new TreeMap<>();
    try (Stream<Path> files = Files.walk(place)) {
      for (Path file : files.toList()) {
        contents.put(file.toString(), Files.isDirectory(file) ? "" : Files.readString(file));
      }
    }
    return contents;
  }
}
