package org.sparkmoe.datasets.checkpoint;

import java.util.Arrays;
import java.util.Set;
import org.sparkmoe.datasets.checkpoint.quant.FusedWeights;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.ScaleType;

/** Quantized experts that share tensors: gpt-oss' MXFP4 blocks, and FP8 with scales beside it. */
final class FusedPlanner {
  private static final int MX = 32;

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
            tensors.take(gateUp + "_blocks", bytes, block(2L * width, hidden, 16)),
            tensors.take(gateUp + "_scales", bytes, block(2L * width, hidden)),
            tensors.take(down + "_blocks", bytes, block(hidden, width, 16)),
            tensors.take(down + "_scales", bytes, block(hidden, width)),
            false,
            recipe.fused() == LayerRecipe.FusedOrder.INTERLEAVED_COLUMNS,
            mxfp4,
            mxfp4,
            hidden,
            width);
    activations.input(new LinearPlan(null, format.activation(), null));
    activations.inner(new LinearPlan(null, format.activation(), null));
    return new ExpertLayout.FusedQuantized(weights, biases(tensors, recipe, gateUp, down));
  }

  private long[] block(long rows, long cols, long... codes) {
    long[] shape = Arrays.copyOf(new long[] {experts, rows, cols / MX}, 3 + codes.length);
    System.arraycopy(codes, 0, shape, 3, codes.length);
    return shape;
  }

  /**
   * {@code gate_up_proj} and {@code down_proj} of FP8 codes: transposed with a scale per output
   * (FBGEMM: [E, H, 2I] with [E, 1, 2I], [E, I, H] with [E, H, 1]), or by outputs with a scale per
   * output or block.
   *
   * @param prefix full name of the experts' module
   */
  ExpertLayout scaled(String prefix) {
    String gateUp = prefix + ".gate_up_proj";
    String down = prefix + ".down_proj";
    if (!(linears.format(gateUp, gateUp) instanceof ScaledFormat format)
        || format.activation().scaleSuffixOrNull() != null) {
      throw tensors.bad(
          "tensor %s holds all experts, which is not known of this quantization; use weights with tensors for each expert"
              .formatted(Quoted.of(gateUp)));
    }
    if (recipe.fused() == LayerRecipe.FusedOrder.INTERLEAVED_COLUMNS || recipe.expertBias()) {
      throw tensors.bad(
          "tensor %s is FP8 with gate and up interleaved, which is not supported"
              .formatted(Quoted.of(gateUp)));
    }
    boolean transposed = recipe.fused() == LayerRecipe.FusedOrder.COLUMNS;
    long both = 2L * width;
    tensors.take(gateUp, format.codeTypes(), shape(transposed, both, hidden));
    tensors.take(down, format.codeTypes(), shape(transposed, hidden, width));
    FusedWeights weights =
        new FusedWeights(
            gateUp,
            scales(gateUp),
            down,
            scales(down),
            transposed,
            false,
            format(format, gateUp, (int) both, hidden, transposed, new long[] {experts, 1, both}),
            format(format, down, hidden, width, transposed, new long[] {experts, hidden, 1}),
            hidden,
            width);
    if (!transposed
        && weights.in().rowSpan() != QuantFormat.ALL
        && width % weights.in().rowSpan() != 0) {
      throw tensors.bad(
          "tensor %s has blocks of %d rows with both gate and up, which is not supported"
              .formatted(Quoted.of(gateUp), weights.in().rowSpan()));
    }
    activations.input(new LinearPlan(null, format.activation(), null));
    activations.inner(new LinearPlan(null, format.activation(), null));
    return new ExpertLayout.FusedQuantized(weights, null);
  }

  private long[] shape(boolean transposed, long out, long in) {
    return transposed ? new long[] {experts, in, out} : new long[] {experts, out, in};
  }

  private String scales(String tensor) {
    return tensor + (tensors.has(tensor + "_scale_inv") ? "_scale_inv" : "_scale");
  }

  private QuantFormat format(
      ScaledFormat format,
      String tensor,
      int rows,
      int cols,
      boolean transposed,
      long[] perOutput) {
    String scales = scales(tensor);
    ScaleType type = LinearTensors.scaleType(tensors.get(scales).dtype());
    if (transposed) {
      tensors.take(scales, format.scaleTypes(), perOutput);
      return QuantFormat.of(format.codes(), type, 1, QuantFormat.ALL);
    }
    long[][] shapes =
        Arrays.stream(format.grid().shapes(rows, cols))
            .filter(shape -> shape.length == 2)
            .map(shape -> new long[] {experts, shape[0], shape[1]})
            .toArray(long[][]::new);
    tensors.take(scales, format.scaleTypes(), shapes);
    long[] shape = tensors.get(scales).shape();
    ScaleGrid.Span span =
        format.grid().span(new long[] {shape[1], shape[2]}, rows, cols).orElseThrow();
    return QuantFormat.of(format.codes(), type, span.rows(), span.cols());
  }
}
