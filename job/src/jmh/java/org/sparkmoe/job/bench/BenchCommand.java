package org.sparkmoe.job.bench;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.Probes;
import org.sparkmoe.kernels.bench.RoutingKind;
import org.sparkmoe.kernels.bench.Shape;
import org.sparkmoe.kernels.tensor.DType;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code moe bench}. */
@Command(
    name = "bench",
    customSynopsis = "moe bench [OPTION]...",
    description = {
      "Measure our layer beside OpenBLAS, oneDNN, PyTorch and ONNX Runtime, and the job beside its"
          + " own kernels.",
      "Every result is compared with the SCALAR backend before it is timed; a wrong one ends the"
          + " command."
    },
    footer = {
      "",
      "Lists are separated by commas. Exit codes: 0 done, 1 a wrong result or a failure, 2 wrong"
          + " usage.",
      "",
      "  moe bench --shape olmoe --tokens 64,4096",
      "  moe bench --shape all --tokens 1,64,1024,8192 --routing uniform,zipf,one-hot --markdown"
          + " results.md"
    },
    mixinStandardHelpOptions = true,
    sortOptions = false,
    usageHelpWidth = 100)
final class BenchCommand implements Callable<Integer> {
  private static final int MOST_TOKENS = 1 << 20;
  private static final int MOST_THREADS = 1024;

  @Spec private CommandSpec spec;

  @Option(
      names = "--parts",
      split = ",",
      paramLabel = "PART",
      defaultValue = "all",
      description =
          "What to measure: layer (beside all peers), gemm (one product beside OpenBLAS), scaling"
              + " (bf16 weights, twice the tokens, twice the experts), quant (quantized weights"
              + " beside bf16 and f32), memory, job (the Spark job beside its own kernels), sql"
              + " (SQL functions beside the job's batches). Default: all.")
  private List<String> parts;

  @Option(
      names = "--shape",
      split = ",",
      paramLabel = "NAME",
      defaultValue = "olmoe",
      description =
          "olmoe, qwen3-30b-a3b, mixtral, gpt-oss-20b, deepseek-v3-64 (64 of its 256 experts), or"
              + " all. Default: olmoe.")
  private List<String> shapes;

  @Option(
      names = "--tokens",
      split = ",",
      paramLabel = "T",
      defaultValue = "1,64,1024,4096",
      description = "Tokens of one call. Default: 1,64,1024,4096.")
  private List<Integer> tokens;

  @Option(
      names = "--routing",
      split = ",",
      paramLabel = "KIND",
      defaultValue = "uniform",
      description =
          "uniform, zipf, or one-hot (every token goes to expert 0, and to others). Default:"
              + " uniform.")
  private List<String> routings;

  @Option(
      names = "--weights",
      paramLabel = "TYPE",
      defaultValue = "f32",
      description =
          "How our experts are stored: f32, bf16 or f16. Peers hold the same values in f32."
              + " Default: f32.")
  private String weights;

  @Option(
      names = "--backend",
      split = ",",
      paramLabel = "NAME",
      defaultValue = "all",
      description =
          "Our backends: vector, onednn, onednn-bf16; or all that run here in f32. Default: all.")
  private List<String> backends;

  @Option(
      names = "--peers",
      split = ",",
      paramLabel = "NAME",
      defaultValue = "all",
      description =
          "openblas and onednn (the layer's products alone), pytorch, onnxruntime, all, or none."
              + " Default: all.")
  private List<String> peers;

  @Option(
      names = "--job-tokens",
      paramLabel = "T",
      defaultValue = "20000",
      description = "Tokens of the Spark job. Default: 20000.")
  private int jobTokens;

  @Option(
      names = "--job-vectors",
      paramLabel = "TYPE",
      defaultValue = "f32",
      description = "How they are stored: f32, bf16 or f16. Default: f32.")
  private String jobVectors;

  @Option(
      names = "--sql-rows",
      paramLabel = "N",
      defaultValue = "1000000",
      description = "Rows of the tables that SQL functions run over. Default: 1000000.")
  private int sqlRows;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads of everybody. Default: all cores.")
  private Integer threads;

  @Option(
      names = "--seconds",
      paramLabel = "S",
      defaultValue = "2",
      description = "Seconds to spend on each contender of a table. Default: 2.")
  private double seconds;

  @Option(
      names = "--markdown",
      paramLabel = "FILE",
      description = "Write the results there too, as a Markdown page.")
  private Path markdown;

  @Override
  public Integer call() {
    Settings settings = settings();
    Report report = new Report(spec.commandLine().getOut());
    new Bench(settings, report).run(spec.commandLine().getParseResult().originalArgs());
    if (markdown != null) {
      report.write(markdown);
    }
    return 0;
  }

  private Settings settings() {
    int cores = Runtime.getRuntime().availableProcessors();
    int team = threads == null ? cores : threads;
    require(
        team >= 1 && team <= MOST_THREADS,
        "--threads %d is outside 1 to %d".formatted(team, MOST_THREADS));
    require(seconds > 0 && seconds <= 3600, "--seconds %s is outside 0 to 3600".formatted(seconds));
    require(
        markdown == null || Files.isDirectory(markdown.toAbsolutePath().getParent()),
        "the folder of --markdown %s does not exist".formatted(markdown));
    tokens.forEach(count -> requireTokens("--tokens", count));
    requireTokens("--job-tokens", jobTokens);
    require(
        sqlRows >= 1000 && sqlRows <= 1_000_000_000,
        "--sql-rows %d is outside 1000 to 1000000000".formatted(sqlRows));
    return new Settings(
        chosen("--parts", parts, List.of(Part.values()), Part::option),
        chosen("--shape", shapes, Shape.ALL, Shape::name),
        tokens,
        chosen("--routing", routings, List.of(RoutingKind.values()), RoutingKind::option),
        backends.equals(List.of("all"))
            ? runnable().stream().filter(backend -> backend != Backend.ONEDNN_BF16).toList()
            : chosen("--backend", backends, runnable(), Backend::option),
        peers.equals(List.of("none"))
            ? List.of()
            : chosen("--peers", peers, List.of(Peer.values()), Peer::option),
        type("--weights", weights),
        jobTokens,
        type("--job-vectors", jobVectors),
        sqlRows,
        team,
        seconds);
  }

  /** Our backends worth timing that run here; SCALAR is the proof. */
  private static List<Backend> runnable() {
    Probes probes = Probes.gather(List.of(Backend.values()));
    return Arrays.stream(Backend.values())
        .filter(backend -> backend != Backend.SCALAR && probes.refusal(backend).isEmpty())
        .toList();
  }

  private DType type(String option, String name) {
    return chosen(option, List.of(name), List.of(DType.values()), Figures::name).getFirst();
  }

  private <T> List<T> chosen(
      String option, List<String> names, List<T> known, Function<T, String> nameOf) {
    if (names.equals(List.of("all"))) {
      return known;
    }
    List<T> chosen = new ArrayList<>();
    for (String name : names) {
      Optional<T> found =
          known.stream().filter(value -> nameOf.apply(value).equalsIgnoreCase(name)).findFirst();
      require(
          found.isPresent(),
          "%s %s is unknown; choose %s"
              .formatted(
                  option, name, known.stream().map(nameOf).collect(Collectors.joining(", "))));
      chosen.add(found.get());
    }
    return chosen;
  }

  private void requireTokens(String option, int count) {
    require(
        count >= 1 && count <= MOST_TOKENS,
        "%s %d is outside 1 to %d".formatted(option, count, MOST_TOKENS));
  }

  private void require(boolean holds, String message) {
    if (!holds) {
      throw new ParameterException(spec.commandLine(), message);
    }
  }
}
