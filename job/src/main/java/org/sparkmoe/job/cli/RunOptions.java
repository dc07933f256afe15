package org.sparkmoe.job.cli;

import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.apache.spark.network.util.JavaUtils;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.tokens.HiddenEncoding;
import org.sparkmoe.datasets.tokens.InputFormat;
import org.sparkmoe.datasets.tokens.RowSelection;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.run.LayersDirectory;
import org.sparkmoe.kernels.backend.BackendSelector;
import org.sparkmoe.udfs.plan.Reduction;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Options of {@code run} and {@code explain}. */
final class RunOptions {
  private static final String LAYER = "{layer}";

  @Spec(Spec.Target.MIXEE)
  private CommandSpec spec;

  @Option(
      names = "--model",
      order = 10,
      required = true,
      paramLabel = "DIR",
      description = "Hugging Face checkpoint folder with config.json and safetensors files.")
  private String model;

  @Option(
      names = "--layer",
      order = 20,
      paramLabel = "N",
      description = "Decoder layer, counted from 0; moe inspect lists them.")
  private Integer layer;

  @Option(
      names = "--layers",
      order = 21,
      paramLabel = "N,N-M",
      description = {
        "Instead of --layer: several layers, one after another, each with its own run folder"
            + " layer=N below --output. Numbers and ranges, for example 3,7 or 0-15.",
      })
  private String layers;

  @Option(
      names = "--input",
      order = 30,
      required = true,
      paramLabel = "PATH",
      description = {
        "Tokens: Parquet or Arrow IPC files, a Delta table, or a tensor:",
        "FILE.safetensors#TENSOR. {layer} stands for the number of the layer.",
      })
  private String input;

  @Option(
      names = "--input-format",
      order = 40,
      paramLabel = "F",
      defaultValue = "auto",
      description = "auto, parquet, arrow, safetensors or delta. Default: auto.")
  private String inputFormat;

  @Option(
      names = "--output-format",
      order = 42,
      paramLabel = "F",
      defaultValue = "parquet",
      description = {
        "Tables of the run: parquet, or delta for the same files with the log of a Delta table.",
        "Default: parquet.",
      })
  private String outputFormat;

  @Option(
      names = "--token-id-column",
      order = 50,
      paramLabel = "C",
      defaultValue = "token_id",
      description = "Column of unique integer ids. Default: token_id.")
  private String tokenIdColumn;

  @Option(
      names = "--hidden-column",
      order = 60,
      paramLabel = "C",
      defaultValue = "hidden",
      description = "Column of activations, ARRAY<FLOAT> or BINARY. Default: hidden.")
  private String hiddenColumn;

  @Option(
      names = "--hidden-dtype",
      order = 70,
      paramLabel = "T",
      description = {
        "Elements of a BINARY hidden column: f32, bf16 or f16.",
        "Default: what the column's metadata says, else f32.",
      })
  private String hiddenDtype;

  @Option(
      names = "--keep-columns",
      order = 80,
      paramLabel = "C",
      split = ",",
      description = "Further input columns to carry into outputs/, separated by commas.")
  private List<String> keepColumns = List.of();

  @Option(
      names = "--limit",
      order = 90,
      paramLabel = "N",
      description = "Only the N tokens with the lowest ids.")
  private Integer limit;

  @Option(
      names = "--sample",
      order = 92,
      paramLabel = "FRACTION",
      description = {
        "Only a fraction of the tokens, above 0, up to 1. Chosen by a hash of the token id: the"
            + " same tokens however the input is partitioned, and a smaller sample is part of a"
            + " larger.",
      })
  private Double sample;

  @Option(
      names = "--since",
      order = 94,
      paramLabel = "C=VALUE",
      description = {
        "Only rows whose column C is VALUE or later, read as the column's type, for example"
            + " day=2026-11-24. A run that finds none is done, with empty tables.",
      })
  private String since;

  @Option(
      names = "--backend",
      order = 100,
      paramLabel = "B",
      defaultValue = "auto",
      description = {
        "auto, scalar, vector, onednn, onednn-bf16 or cuda. Default: auto, the fastest that runs.",
        "onednn-bf16 rounds rows and weights of the experts to bf16: it is never chosen by auto.",
        "A backend asked for by name never falls back to another.",
      })
  private String backend;

  @Option(
      names = "--dispatch",
      order = 110,
      paramLabel = "D",
      defaultValue = "auto",
      description = {
        "ep sends tokens to the lanes of their experts (two shuffles), replicated holds all"
            + " experts everywhere (no vector is shuffled, only ids, to find repeated ones).",
        "Default: auto, the cheaper by the estimate that moe explain prints.",
      })
  private String dispatch;

  @Option(
      names = "--lanes",
      order = 120,
      paramLabel = "N",
      description =
          "Lanes of expert parallelism. Default: two per task slot, at most one per expert.")
  private Integer lanes;

  @Option(
      names = "--placement",
      order = 130,
      paramLabel = "P",
      defaultValue = "balanced",
      description = {
        "Experts on lanes: balanced (by the loads that the first pass counts: ranges where those"
            + " can be nearly even, else dealt out, hot experts on several lanes), linear (ranges)"
            + " or round-robin. Default: balanced.",
      })
  private String placement;

  @Option(
      names = "--redundant-experts",
      order = 131,
      paramLabel = "N",
      description = {
        "Copies of hot experts that balanced may put on further lanes, each with the memory of an"
            + " expert. Default: as many as lanes.",
      })
  private Integer redundantExperts;

  @Option(
      names = "--combine",
      order = 132,
      paramLabel = "C",
      defaultValue = "expert-order",
      description = {
        "expert-order adds up what a token's experts make of it over a binary tree of their ids:"
            + " the same bits whatever lanes there are.",
        "lane-order lets each lane add all of its own first: less is shuffled where lanes hold no"
            + " whole branches, and the last bits depend on which lanes share a token. Default:"
            + " expert-order.",
      })
  private String combine;

  @Option(
      names = "--weight-memory",
      order = 135,
      paramLabel = "SIZE",
      description = {
        "Packed weights that an executor may hold, for example 512m or 2g. What does not fit is"
            + " packed again when it is needed; the result is the same.",
        "Default: all the weights, and a refusal where they do not fit.",
      })
  private String weightMemory;

  @Option(
      names = "--activation-quant",
      order = 140,
      paramLabel = "Q",
      defaultValue = "auto",
      description = {
        "auto quantizes activations as the checkpoint asks, before they are dispatched; none leaves"
            + " them in f32, only the weights are quantized.",
        "Default: auto.",
      })
  private String activationQuant;

  @Option(
      names = "--max-errors",
      order = 150,
      paramLabel = "N",
      description = {
        "Exit with 3 when more than N rows cannot be scored; the run is complete all the same.",
        "Default: 3 only when no row at all could be scored.",
      })
  private Long maxErrors;

  @Option(
      names = "--no-report",
      order = 155,
      description = "Do not make report.html; moe report makes it later.")
  private boolean noReport;

  @Option(
      names = "--unit-tokens",
      order = 155,
      paramLabel = "N",
      description = {
        "Tokens, about, that a run computes and keeps at a time: what --resume may have to repeat."
            + " A unit is at least a partition of the input.",
        "Default: 262144, with at most 64 units and a partition for each task slot in a unit.",
      })
  private Long unitTokens;

  @Option(
      names = "--run-id",
      order = 156,
      paramLabel = "ID",
      description = {
        "What a scheduler calls the run, kept in its manifest. Where --output holds the run of this"
            + " name, finished and made of the same model, input and options, nothing is computed"
            + " and the exit code is the same again, even with --overwrite.",
      })
  private String runId;

  @Option(
      names = "--config",
      order = 160,
      paramLabel = "FILE.yaml",
      description = {
        "Options by name, for example layer: 3.",
        "The command line and spark.moe.NAME settings win over this file.",
      })
  void config(String file) {
    // Read before the command line is parsed, see Defaults: here the option is only announced.
  }

  /** Whether the run has a name. */
  boolean named() {
    return runId != null;
  }

  /** Whether runs get a page. */
  boolean report() {
    return !noReport;
  }

  /**
   * One request for each layer.
   *
   * @param output run folder; for several layers the folder of their run folders
   */
  List<JobRequest> requests(String output, boolean overwrite, boolean resume) {
    if (severalLayers()) {
      if (runId != null) {
        throw new InputException(
            "--run-id %s is of one run, --layers %s asks for a folder of runs; give --layer"
                .formatted(runId, layers));
      }
      return LayerList.parse(layers).stream()
          .map(index -> request(index, LayersDirectory.ofLayer(output, index), overwrite, resume))
          .toList();
    }
    return List.of(request(layer, output, overwrite, resume));
  }

  /** Whether {@code --layers} asks for a folder of run folders, be it for one layer. */
  boolean severalLayers() {
    if ((layer == null) == (layers == null)) {
      throw new ParameterException(
          spec.commandLine(),
          layer == null
              ? "Missing required option: '--layer=N' or '--layers=N,N-M'; moe inspect lists them"
              : "--layer %d and --layers %s exclude each other".formatted(layer, layers));
    }
    return layers != null;
  }

  private JobRequest request(int index, String output, boolean overwrite, boolean resume) {
    if (maxErrors != null && maxErrors < 0) {
      throw new InputException("--max-errors %d must be at least 0".formatted(maxErrors));
    }
    return new JobRequest(
        model,
        index,
        tokens(index),
        output,
        outputFormat(),
        backend(),
        dispatch(),
        lanes == null ? OptionalInt.empty() : OptionalInt.of(lanes),
        placement(),
        redundantExperts(),
        reduction(),
        activationQuant(),
        weightMemory(),
        overwrite,
        maxErrors == null ? OptionalLong.empty() : OptionalLong.of(maxErrors),
        new JobRequest.Units(unitTokens(), resume, runId()));
  }

  private Optional<String> runId() {
    if (runId != null && (runId.isBlank() || runId.lines().count() > 1)) {
      throw new InputException("--run-id must be one line that is not blank");
    }
    return Optional.ofNullable(runId);
  }

  private OptionalLong unitTokens() {
    if (unitTokens == null) {
      return OptionalLong.empty();
    }
    if (unitTokens < 1) {
      throw new InputException("--unit-tokens %d must be at least 1".formatted(unitTokens));
    }
    return OptionalLong.of(unitTokens);
  }

  private TokenOptions tokens(int index) {
    return new TokenOptions(
        input(index),
        InputFormat.parse(inputFormat),
        tokenIdColumn,
        hiddenColumn,
        Optional.ofNullable(hiddenDtype).map(HiddenEncoding::parseDType),
        keepColumns,
        new RowSelection(
            Optional.ofNullable(since).map(RowSelection.Since::parse),
            sample == null ? OptionalDouble.empty() : OptionalDouble.of(sample),
            limit == null ? OptionalInt.empty() : OptionalInt.of(limit)));
  }

  /** Activations belong to a layer, so several layers cannot have the same. */
  private String input(int index) {
    if (layers != null && !input.contains(LAYER)) {
      throw new InputException(
          "--input %s is the same for all of --layers %s; put {layer} where its number stands"
              .formatted(input, layers));
    }
    return input.replace(LAYER, Integer.toString(index));
  }

  private JobRequest.OutputFormat outputFormat() {
    return switch (outputFormat.toLowerCase(Locale.ROOT)) {
      case "parquet" -> JobRequest.OutputFormat.PARQUET;
      case "delta" -> JobRequest.OutputFormat.DELTA;
      default ->
          throw new InputException(
              "--output-format %s is unknown; choose parquet or delta".formatted(outputFormat));
    };
  }

  private BackendSelector.Request backend() {
    try {
      return BackendSelector.Request.parse(backend);
    } catch (IllegalArgumentException e) {
      throw new InputException("--backend: " + e.getMessage(), e);
    }
  }

  private Optional<DispatchMode> dispatch() {
    return switch (dispatch.toLowerCase(Locale.ROOT)) {
      case "auto" -> Optional.empty();
      case "ep" -> Optional.of(DispatchMode.EP);
      case "replicated" -> Optional.of(DispatchMode.REPLICATED);
      default ->
          throw new InputException(
              "--dispatch %s is unknown; choose auto, ep or replicated".formatted(dispatch));
    };
  }

  private OptionalLong weightMemory() {
    if (weightMemory == null) {
      return OptionalLong.empty();
    }
    try {
      long bytes = JavaUtils.byteStringAsBytes(weightMemory);
      if (bytes > 0) {
        return OptionalLong.of(bytes);
      }
    } catch (IllegalArgumentException e) {
      throw new InputException(
          "--weight-memory %s is no size; give a whole number and a unit, for example 512m or 2g"
              .formatted(weightMemory),
          e);
    }
    throw new InputException(
        "--weight-memory %s must be more than 0; moe explain prints what the layer takes"
            .formatted(weightMemory));
  }

  private OptionalInt redundantExperts() {
    if (redundantExperts == null) {
      return OptionalInt.empty();
    }
    if (redundantExperts < 0) {
      throw new InputException(
          "--redundant-experts %d must be at least 0".formatted(redundantExperts));
    }
    return OptionalInt.of(redundantExperts);
  }

  private Reduction reduction() {
    return switch (combine.toLowerCase(Locale.ROOT)) {
      case "expert-order" -> Reduction.EXPERT_ORDER;
      case "lane-order" -> Reduction.LANE_ORDER;
      default ->
          throw new InputException(
              "--combine %s is unknown; choose expert-order or lane-order".formatted(combine));
    };
  }

  private JobRequest.ActivationQuant activationQuant() {
    return switch (activationQuant.toLowerCase(Locale.ROOT)) {
      case "auto" -> JobRequest.ActivationQuant.AUTO;
      case "none" -> JobRequest.ActivationQuant.NONE;
      default ->
          throw new InputException(
              "--activation-quant %s is unknown; choose auto or none".formatted(activationQuant));
    };
  }

  private JobRequest.Placement placement() {
    return switch (placement.toLowerCase(Locale.ROOT)) {
      case "balanced" -> JobRequest.Placement.BALANCED;
      case "linear" -> JobRequest.Placement.LINEAR;
      case "round-robin" -> JobRequest.Placement.ROUND_ROBIN;
      default ->
          throw new InputException(
              "--placement %s is unknown; choose balanced, linear or round-robin"
                  .formatted(placement));
    };
  }
}
