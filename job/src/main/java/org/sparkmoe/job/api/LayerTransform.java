package org.sparkmoe.job.api;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.tokens.HiddenEncoding;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.kernels.backend.BackendSelector;
import org.sparkmoe.udfs.plan.Reduction;

/**
 * One layer with its options, which take the words of the command line. An immutable value: every
 * option makes another one. Bits are those of {@code moe run} with the same options.
 *
 * <p>{@link #transform} returns at once, except where something has to be known of all tokens: see
 * there. Whatever cannot be done is refused by an {@link InputException} of one line.
 */
public final class LayerTransform {
  private static final String DATASET = "the dataset";

  private final String model;
  private final int layer;

  // Set while a copy is made, and not changed after.
  private TokenOptions tokens = TokenOptions.of(DATASET);
  private BackendSelector.Request backend = BackendSelector.Request.auto();
  private Optional<DispatchMode> dispatch = Optional.empty();
  private OptionalInt lanes = OptionalInt.empty();
  private JobRequest.Placement placement = JobRequest.Placement.BALANCED;
  private OptionalInt redundantExperts = OptionalInt.empty();
  private Reduction reduction = Reduction.EXPERT_ORDER;
  private JobRequest.ActivationQuant activationQuant = JobRequest.ActivationQuant.AUTO;
  private OptionalLong weightMemory = OptionalLong.empty();
  private boolean uniqueTokenIds;

  LayerTransform(String model, int layer) {
    this.model = model;
    this.layer = layer;
  }

  private LayerTransform with(Consumer<LayerTransform> change) {
    LayerTransform copy = new LayerTransform(model, layer);
    copy.tokens = tokens;
    copy.backend = backend;
    copy.dispatch = dispatch;
    copy.lanes = lanes;
    copy.placement = placement;
    copy.redundantExperts = redundantExperts;
    copy.reduction = reduction;
    copy.activationQuant = activationQuant;
    copy.weightMemory = weightMemory;
    copy.uniqueTokenIds = uniqueTokenIds;
    change.accept(copy);
    return copy;
  }

  /** {@code auto}, the default, or one that never falls back. */
  public LayerTransform backend(String name) {
    try {
      BackendSelector.Request request = BackendSelector.Request.parse(name);
      return with(copy -> copy.backend = request);
    } catch (IllegalArgumentException e) {
      throw new InputException(e.getMessage(), e);
    }
  }

  /**
   * {@code replicated}, {@code ep}, or {@code auto}, the default: replicated where all experts fit
   * into an executor. Unlike {@code moe run} it does not count tokens to find the cheaper one.
   */
  public LayerTransform dispatch(String mode) {
    Optional<DispatchMode> chosen =
        mode.equalsIgnoreCase("auto")
            ? Optional.empty()
            : Optional.of(word("dispatch", mode, DispatchMode.values(), DispatchMode::option));
    return with(copy -> copy.dispatch = chosen);
  }

  /** Lanes of {@code ep}. */
  public LayerTransform lanes(int count) {
    return with(copy -> copy.lanes = OptionalInt.of(count));
  }

  /** {@code balanced}, the default, {@code linear} or {@code round-robin}. */
  public LayerTransform placement(String rule) {
    JobRequest.Placement chosen =
        word("placement", rule, JobRequest.Placement.values(), JobRequest.Placement::option);
    return with(copy -> copy.placement = chosen);
  }

  /** Copies of hot experts that a balanced placement may add; by default as many as lanes. */
  public LayerTransform redundantExperts(int count) {
    if (count < 0) {
      throw new InputException("redundant-experts %d must be at least 0".formatted(count));
    }
    return with(copy -> copy.redundantExperts = OptionalInt.of(count));
  }

  /** {@code expert-order}, the default, or {@code lane-order}. */
  public LayerTransform combine(String order) {
    Reduction chosen = word("combine", order, Reduction.values(), Reduction::option);
    return with(copy -> copy.reduction = chosen);
  }

  /** {@code auto}, the default: as the checkpoint asks; or {@code none}. */
  public LayerTransform activationQuant(String schemes) {
    JobRequest.ActivationQuant chosen =
        word(
            "activation-quant",
            schemes,
            JobRequest.ActivationQuant.values(),
            JobRequest.ActivationQuant::option);
    return with(copy -> copy.activationQuant = chosen);
  }

  /** Bytes of packed weights that an executor may hold; by default all that it needs. */
  public LayerTransform weightMemory(long bytes) {
    if (bytes <= 0) {
      throw new InputException("weight-memory %d must be more than 0".formatted(bytes));
    }
    return with(copy -> copy.weightMemory = OptionalLong.of(bytes));
  }

  /** Promises that no token id is there twice, which spares {@code ep} a look at all of them. */
  public LayerTransform uniqueTokenIds() {
    return with(copy -> copy.uniqueTokenIds = true);
  }

  /** Names of the columns of ids and vectors; by default {@code token_id} and {@code hidden}. */
  public LayerTransform columns(String tokenId, String hidden) {
    return with(copy -> copy.tokens = tokens.withColumns(tokenId, hidden));
  }

  /** Element type of a BINARY column: {@code f32}, {@code bf16} or {@code f16}. */
  public LayerTransform hiddenDtype(String dtype) {
    TokenOptions chosen = tokens.withHiddenDtype(HiddenEncoding.parseDType(dtype));
    return with(copy -> copy.tokens = chosen);
  }

  /** Further columns to carry to the outputs. */
  public LayerTransform keepColumns(String... names) {
    TokenOptions chosen = tokens.withKeepColumns(names);
    return with(copy -> copy.tokens = chosen);
  }

  /**
   * The layer's outputs: {@code token_id, output, error} and the kept columns, in the encoding of
   * the input. A row that cannot be scored has a null output and the reason.
   *
   * <p>Reads the checkpoint's headers now, and all else when rows are asked for, except that it
   * runs
   *
   * <ul>
   *   <li>a pass over the token ids, with {@code ep}, unless they are {@link #uniqueTokenIds};
   *   <li>a routing pass, with {@code ep} and a {@code balanced} placement, or where the checkpoint
   *       quantizes activations with one scale for all tokens;
   *   <li>a pass through the experts, where such a scale is for their intermediates.
   * </ul>
   *
   * @param rows token ids as an integer, vectors as ARRAY&lt;FLOAT&gt;, ARRAY&lt;DOUBLE&gt; or
   *     BINARY; the same rows whenever they are asked for
   */
  public Dataset<Row> transform(Dataset<Row> rows) {
    return LayerDatasets.of(request(), uniqueTokenIds, rows).outputs();
  }

  /**
   * The routes of all tokens that can be scored: {@code token_id, topk_slot, expert_id,
   * topk_weight}. Runs nothing now.
   */
  public Dataset<Row> routes(Dataset<Row> rows) {
    return LayerDatasets.of(request(), true, rows).routes();
  }

  /**
   * The blocks that {@code ep} sends to lanes, for {@code moe_unpack}. Runs the passes of {@link
   * #transform}.
   */
  public Dataset<Row> blocks(Dataset<Row> rows) {
    return LayerDatasets.of(dispatch("ep").request(), uniqueTokenIds, rows).blocks();
  }

  private JobRequest request() {
    return new JobRequest(
        model,
        layer,
        tokens,
        "",
        JobRequest.OutputFormat.PARQUET,
        backend,
        dispatch,
        lanes,
        placement,
        redundantExperts,
        reduction,
        activationQuant,
        weightMemory,
        false,
        OptionalLong.empty());
  }

  private static <E> E word(String option, String value, E[] known, Function<E, String> name) {
    return Arrays.stream(known)
        .filter(candidate -> name.apply(candidate).equals(value.toLowerCase(Locale.ROOT)))
        .findFirst()
        .orElseThrow(
            () ->
                new InputException(
                    "%s %s is unknown; choose %s"
                        .formatted(
                            option,
                            value,
                            Arrays.stream(known).map(name).collect(Collectors.joining(", ")))));
  }
}
