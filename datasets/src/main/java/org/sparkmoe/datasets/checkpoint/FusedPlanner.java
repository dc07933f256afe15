package org.sparkmoe.datasets.checkpoint;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.sparkmoe.datasets.checkpoint.quant.FusedTensor;
import org.sparkmoe.datasets.checkpoint.quant.FusedWeights;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.ScaleType;

/**
 * Quantized experts that share tensors: gpt-oss' MXFP4 blocks, and FP8 and NVFP4 with scales beside
 * them.
 */
final class FusedPlanner {
  private static final int MX = 32;
  private static final int NV = 16;

  /** Shapes of one value for all experts. */
  private static final List<long[]> SCALAR = List.of(new long[] {}, new long[] {1});

  private static final List<String> SCALES =
      List.of("weight_scale", "weight_scale_inv", "scale", "scale_inv");

  private final ModuleTensors tensors;
  private final LinearPlanner linears;
  private final LayerActivations activations;
  private final LayerRecipe recipe;
  private final long experts;
  private final int width;
  private final int hidden;

  FusedPlanner(
      ModuleTensors tensors,
      LinearPlanner linears,
      LayerActivations activations,
      LayerRecipe recipe) {
    this.tensors = tensors;
    this.linears = linears;
    this.activations = activations;
    this.recipe = recipe;
    this.experts = recipe.spec().experts();
    this.width = recipe.spec().intermediate();
    this.hidden = recipe.spec().hidden();
  }

  /** The biases that the recipe announces, or null. */
  static ExpertLayout.FusedBiases biases(
      ModuleTensors tensors, LayerRecipe recipe, String gateUp, String down) {
    if (!recipe.expertBias()) {
      return null;
    }
    long experts = recipe.spec().experts();
    return new ExpertLayout.FusedBiases(
        tensors.take(gateUp + "_bias", new long[] {experts, 2L * recipe.spec().intermediate()}),
        tensors.take(down + "_bias", new long[] {experts, recipe.spec().hidden()}),
        recipe.fused() == LayerRecipe.FusedOrder.INTERLEAVED_COLUMNS);
  }

  /**
   * {@code gate_up_proj_blocks} u8 [E, 2I, H/32, 16] with {@code _scales} u8 [E, 2I, H/32], and
   * {@code down_proj} likewise: two e2m1 to a byte and a power of two for each block.
   *
   * @param prefix full name of the experts' module
   */
  ExpertLayout blocks(String prefix) {
    String gateUp = prefix + ".gate_up_proj";
    String down = prefix + ".down_proj";
    LinearFormat format = linears.format(prefix, gateUp + "_blocks");
    if (!(format instanceof MxBlocksFormat)) {
      throw tensors.bad(
          "tensor %s is of quant_method mxfp4, but quantization_config says another; config.json and weights must be of one model"
              .formatted(Quoted.of(gateUp + "_blocks")));
    }
    if (hidden % MX != 0 || width % MX != 0) {
      throw tensors.bad(
          "has hidden size %d and width %d, which do not divide into blocks of 32; this variant is not supported"
              .formatted(hidden, width));
    }
    Set<SafetensorsDType> bytes = Set.of(SafetensorsDType.U8);
    QuantFormat mxfp4 = QuantFormat.of(CodeType.E2M1, ScaleType.E8M0, 1, MX);
    FusedWeights weights =
        new FusedWeights(
            plain(
                tensors.take(gateUp + "_blocks", bytes, block(2L * width, hidden, 16)),
                tensors.take(gateUp + "_scales", bytes, block(2L * width, hidden)),
                mxfp4,
                2 * width,
                hidden),
            plain(
                tensors.take(down + "_blocks", bytes, block(hidden, width, 16)),
                tensors.take(down + "_scales", bytes, block(hidden, width)),
                mxfp4,
                hidden,
                width),
            recipe.fused() == LayerRecipe.FusedOrder.INTERLEAVED_COLUMNS);
    activations.input(new LinearPlan(null, format.activation(), null));
    activations.inner(new LinearPlan(null, format.activation(), null));
    return new ExpertLayout.FusedQuantized(weights, biases(tensors, recipe, gateUp, down));
  }

  private long[] block(long rows, long cols, long... codes) {
    long[] shape = Arrays.copyOf(new long[] {experts, rows, cols / MX}, 3 + codes.length);
    System.arraycopy(codes, 0, shape, 3, codes.length);
    return shape;
  }

  private static FusedTensor plain(
      String codes, String scales, QuantFormat format, int rows, int cols) {
    return new FusedTensor(codes, scales, null, 1, false, false, format, rows, cols);
  }

  /**
   * The tensors of one projection of all experts.
   *
   * @param linear full name of the map, as configurations know it
   * @param codes full name of its codes
   * @param beside what the names of the other tensors begin with
   */
  private record Names(String linear, String codes, String beside) {
    /** {@code gate_up_proj} with {@code gate_up_proj_scale}. */
    static Names joined(String linear) {
      return new Names(linear, linear, linear + "_");
    }

    /** {@code input_linear.weight} with {@code input_linear.weight_scale}. */
    static Names below(String linear) {
      return new Names(linear, linear + ".weight", linear + ".");
    }
  }

  /**
   * {@code gate_up_proj} and {@code down_proj}, by inputs first (Llama 4) or by outputs first, as
   * the family stores them.
   *
   * @param prefix full name of the experts' module
   */
  ExpertLayout projections(String prefix) {
    return scaled(
        Names.joined(prefix + ".gate_up_proj"),
        Names.joined(prefix + ".down_proj"),
        recipe.fused() == LayerRecipe.FusedOrder.COLUMNS);
  }

  /**
   * Granite's {@code input_linear} and {@code output_linear}, by outputs first.
   *
   * @param dot full name of the mixture, and a dot
   */
  ExpertLayout linears(String dot) {
    return scaled(Names.below(dot + "input_linear"), Names.below(dot + "output_linear"), false);
  }

  private ExpertLayout scaled(Names gateUp, Names down, boolean transposed) {
    if (recipe.fused() == LayerRecipe.FusedOrder.INTERLEAVED_COLUMNS || recipe.expertBias()) {
      throw tensors.bad(
          "tensor %s is quantized with gate and up interleaved, which is only known of quant_method mxfp4"
              .formatted(Quoted.of(gateUp.codes())));
    }
    FusedTensor both = tensor(gateUp, 2 * width, hidden, transposed, new long[] {1, 2L * width});
    FusedTensor out = tensor(down, hidden, width, transposed, new long[] {hidden, 1});
    int span = both.format().rowSpan();
    if (span != QuantFormat.ALL && width % span != 0) {
      throw tensors.bad(
          "tensor %s has blocks of %d rows with both gate and up, which is not supported"
              .formatted(Quoted.of(gateUp.codes()), span));
    }
    activations.input(activation(gateUp));
    activations.inner(activation(down));
    return new ExpertLayout.FusedQuantized(new FusedWeights(both, out, false), null);
  }

  /**
   * @param perOutput how transposed tensors store a scale for each output, without E
   */
  private FusedTensor tensor(
      Names names, int rows, int cols, boolean transposed, long[] perOutput) {
    return switch (linears.format(names.linear(), names.codes())) {
      case ScaledFormat format -> scaled(format, names, rows, cols, transposed, perOutput);
      case Fp4Format format when format.equals(Fp4Format.modelOpt(format.activation())) ->
          nvfp4(names, rows, cols, transposed);
      default ->
          throw tensors.bad(
              "tensor %s holds all experts, which is not known of this quantization; use weights with tensors for each expert"
                  .formatted(Quoted.of(names.codes())));
    };
  }

  private FusedTensor scaled(
      ScaledFormat format, Names names, int rows, int cols, boolean transposed, long[] perOutput) {
    tensors.take(names.codes(), format.codeTypes(), shape(transposed, rows, cols));
    String scales = scales(names);
    List<long[]> all = new ArrayList<>();
    if (!transposed) {
      Arrays.stream(format.grid().shapes(rows, cols))
          .filter(shape -> shape.length == 2)
          .forEach(shape -> all.add(ofExperts(shape)));
    } else if (format.grid().isPerChannel()) {
      all.add(ofExperts(perOutput));
    }
    if (format.grid().isPerTensor()) {
      all.addAll(SCALAR);
    }
    if (all.isEmpty()) {
      throw tensors.bad(
          "tensor %s has inputs first and scales per block, which is not supported"
              .formatted(Quoted.of(names.codes())));
    }
    tensors.take(scales, format.scaleTypes(), all.toArray(long[][]::new));
    long[] shape = tensors.get(scales).shape();
    boolean common = shape.length < 3;
    ScaleGrid.Span span =
        common
            ? new ScaleGrid.Span(QuantFormat.ALL, QuantFormat.ALL)
            : transposed
                ? new ScaleGrid.Span(1, QuantFormat.ALL)
                : format.grid().span(new long[] {shape[1], shape[2]}, rows, cols).orElseThrow();
    ScaleType type = LinearTensors.scaleType(tensors.get(scales).dtype());
    return new FusedTensor(
        names.codes(),
        scales,
        null,
        1,
        transposed,
        common,
        QuantFormat.of(format.codes(), type, span.rows(), span.cols()),
        rows,
        cols);
  }

  /** ModelOpt: two codes of neighbouring inputs to a byte, also where inputs come first. */
  private FusedTensor nvfp4(Names names, int rows, int cols, boolean transposed) {
    if (cols % NV != 0) {
      throw tensors.bad(
          "tensor %s has %d inputs, which do not divide into groups of %d; this variant is not supported"
              .formatted(Quoted.of(names.codes()), cols, NV));
    }
    tensors.take(names.codes(), Set.of(SafetensorsDType.U8), shape(transposed, rows, cols / 2));
    String scales =
        tensors.take(
            names.beside() + "weight_scale",
            Set.of(SafetensorsDType.F8_E4M3),
            shape(transposed, rows, cols / NV));
    List<long[]> shapes = new ArrayList<>(SCALAR);
    shapes.add(new long[] {experts});
    String global =
        tensors.take(
            names.beside() + "weight_scale_2",
            Set.of(SafetensorsDType.F32),
            shapes.toArray(long[][]::new));
    long[] stored = tensors.get(global).shape();
    return new FusedTensor(
        names.codes(),
        scales,
        global,
        stored.length == 0 ? 1 : Math.toIntExact(stored[0]),
        transposed,
        false,
        QuantFormat.of(CodeType.E2M1, ScaleType.E4M3, 1, NV),
        rows,
        cols);
  }

  /** How the input is quantized; a static scale is that of all experts. */
  private LinearPlan activation(Names names) {
    ActivationRule rule = linears.format(names.linear(), names.codes()).activation();
    TensorRef scale = null;
    if (rule.scaleSuffixOrNull() != null) {
      String name = names.beside() + rule.scaleSuffixOrNull();
      tensors.take(name, LinearTensors.FLOATS, SCALAR.toArray(long[][]::new));
      scale = tensors.get(name);
    }
    return new LinearPlan(null, rule, scale);
  }

  private long[] shape(boolean transposed, long out, long in) {
    return ofExperts(transposed ? new long[] {in, out} : new long[] {out, in});
  }

  private long[] ofExperts(long[] shape) {
    return new long[] {experts, shape[0], shape[1]};
  }

  private String scales(Names names) {
    List<String> known = SCALES.stream().map(suffix -> names.beside() + suffix).toList();
    return tensors.oneOf("scales of " + Quoted.of(names.linear()), known).orElse(known.getFirst());
  }
}
