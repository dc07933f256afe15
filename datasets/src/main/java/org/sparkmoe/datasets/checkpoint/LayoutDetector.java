package org.sparkmoe.datasets.checkpoint;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Finds how the experts are laid out from the names and shapes of the tensors, whatever the family
 * usually does: transformers 5 can save any family fused, quantization tools take fused ones apart.
 */
final class LayoutDetector {
  private static final Pattern NUMBERED = Pattern.compile("experts\\.(\\d{1,6})\\.(.+)");

  /** What llm-compressor 0.12 wrote for fused experts; it packed them along the wrong dimension. */
  private static final String CORRUPT = "experts.gate_up_proj_packed";

  private final ModuleTensors tensors;
  private final LinearPlanner linears;
  private final LayerActivations activations;
  private final String module;
  private final LayerRecipe recipe;
  private final int experts;
  private final int width;
  private final int hidden;

  /**
   * @param linears of the same tensors
   * @param activations learns how the experts' inputs are quantized
   * @param module full name of the mixture, for example {@code model.layers.3.mlp}
   */
  LayoutDetector(
      ModuleTensors tensors,
      LinearPlanner linears,
      LayerActivations activations,
      String module,
      LayerRecipe recipe) {
    this.tensors = tensors;
    this.linears = linears;
    this.activations = activations;
    this.module = module;
    this.recipe = recipe;
    MoeLayerSpec spec = recipe.spec();
    this.experts = spec.experts();
    this.width = spec.intermediate();
    this.hidden = spec.hidden();
  }

  ExpertLayout detect() {
    String dot = module + ".";
    TreeSet<Integer> numbers = new TreeSet<>();
    for (String name : tensors.names()) {
      if (name.startsWith(dot)) {
        Matcher matcher = NUMBERED.matcher(name.substring(dot.length()));
        if (matcher.matches()) {
          numbers.add(Integer.valueOf(matcher.group(1)));
        }
      }
    }
    if (!numbers.isEmpty()) {
      return perExpert(dot + "experts.", numbers);
    }
    if (tensors.has(dot + CORRUPT)) {
      throw tensors.bad(
          "tensor %s is of a kind that llm-compressor wrote wrongly; quantize the model again with a newer version"
              .formatted(Quoted.of(dot + CORRUPT)));
    }
    FusedPlanner quantized = new FusedPlanner(tensors, linears, activations, recipe);
    if (tensors.has(dot + "experts.gate_up_proj_blocks")) {
      return quantized.blocks(dot + "experts");
    }
    if (tensors.has(dot + "experts.gate_up_proj")) {
      if (isQuantized(dot + "experts.gate_up_proj")) {
        return quantized.projections(dot + "experts");
      }
      return fused(dot + "experts.gate_up_proj", dot + "experts.down_proj");
    }
    if (tensors.has(dot + "input_linear.weight")) {
      if (isQuantized(dot + "input_linear.weight")) {
        return quantized.linears(dot);
      }
      return fused(dot + "input_linear.weight", dot + "output_linear.weight");
    }
    if (tensors.has(dot + "experts.mlp.w1")) {
      return flat(dot + "experts.mlp.");
    }
    throw tensors.bad(
        "the experts' tensors have names of no known layout; this variant of the model is not"
            + " supported");
  }

  private boolean isQuantized(String tensor) {
    return tensors.get(tensor).dtype().kernelType().isEmpty();
  }

  private ExpertLayout perExpert(String prefix, SortedSet<Integer> numbers) {
    if (numbers.size() != experts || numbers.last() != experts - 1) {
      throw tensors.bad(
          "has the tensors of %d experts, numbered %s, but config.json says %d; both must be of one model"
              .formatted(numbers.size(), Ranges.of(List.copyOf(numbers)), experts));
    }
    if (recipe.expertBias()) {
      throw tensors.bad(
          "experts with biases are only known fused, not as one tensor per expert; use the"
              + " published weights");
    }
    boolean byProjection = linears.has(prefix + "0.gate_proj");
    List<StoredWeight> gates = new ArrayList<>();
    List<StoredWeight> ups = new ArrayList<>();
    List<StoredWeight> downs = new ArrayList<>();
    for (int e = 0; e < experts; e++) {
      String gate = prefix + e + (byProjection ? ".gate_proj" : ".w1");
      String up = prefix + e + (byProjection ? ".up_proj" : ".w3");
      String down = prefix + e + (byProjection ? ".down_proj" : ".w2");
      gates.add(activations.input(linears.plan(gate, width, hidden)).weight());
      ups.add(activations.input(linears.plan(up, width, hidden)).weight());
      downs.add(activations.inner(linears.plan(down, hidden, width)).weight());
    }
    return new ExpertLayout.PerExpert(gates, ups, downs);
  }

  private ExpertLayout fused(String gateUp, String down) {
    boolean transposed = transposed(gateUp, down);
    boolean interleaved = recipe.fused() == LayerRecipe.FusedOrder.INTERLEAVED_COLUMNS;
    return new ExpertLayout.Fused(
        gateUp,
        down,
        transposed,
        interleaved,
        type(gateUp),
        type(down),
        FusedPlanner.biases(tensors, recipe, gateUp, down));
  }

  /**
   * Each tensor alone can be ambiguous: gate_up where H = 2I, down where H = I. The family's usual
   * order then decides, and must agree with what the other tensor shows.
   */
  private boolean transposed(String gateUp, String down) {
    long[] gateUpRows = {experts, 2L * width, hidden};
    long[] gateUpColumns = {experts, hidden, 2L * width};
    long[] downRows = {experts, hidden, width};
    long[] downColumns = {experts, width, hidden};
    tensors.take(gateUp, gateUpRows, gateUpColumns);
    tensors.take(down, downRows, downColumns);
    boolean usual = recipe.fused() != LayerRecipe.FusedOrder.ROWS;
    boolean first =
        Arrays.equals(gateUpRows, gateUpColumns)
            ? usual
            : Arrays.equals(tensors.get(gateUp).shape(), gateUpColumns);
    boolean second =
        Arrays.equals(downRows, downColumns)
            ? usual
            : Arrays.equals(tensors.get(down).shape(), downColumns);
    if (first != second) {
      throw tensors.bad(
          "tensors %s %s and %s %s disagree on which dimension is the output, so their order is ambiguous; save the model with transformers again"
              .formatted(
                  Quoted.of(gateUp),
                  Arrays.toString(tensors.get(gateUp).shape()),
                  Quoted.of(down),
                  Arrays.toString(tensors.get(down).shape())));
    }
    return first;
  }

  private ExpertLayout flat(String prefix) {
    long[] shape = {(long) experts * width, hidden};
    String gate = tensors.take(prefix + "w1", shape);
    String up = tensors.take(prefix + "v1", shape);
    String down = tensors.take(prefix + "w2", shape);
    DType in = type(gate).bytes() >= type(up).bytes() ? type(gate) : type(up);
    return new ExpertLayout.Flat(gate, up, down, in, type(down));
  }

  private DType type(String tensor) {
    return tensors.get(tensor).dtype().kernelType().orElseThrow();
  }
}
