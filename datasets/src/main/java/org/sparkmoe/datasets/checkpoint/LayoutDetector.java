package org.sparkmoe.datasets.checkpoint;

import java.util.Arrays;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.kernels.layer.MoeLayerSpec;

/**
 * Finds how the experts are laid out from the names and shapes of the tensors, whatever the family
 * usually does: transformers 5 can save any family fused, quantization tools take fused ones apart.
 */
final class LayoutDetector {
  private static final Pattern NUMBERED = Pattern.compile("experts\\.(\\d{1,6})\\.(.+)");

  private final ModuleTensors tensors;
  private final String module;
  private final LayerRecipe recipe;
  private final long experts;
  private final long width;
  private final long hidden;

  /**
   * @param module full name of the mixture, for example {@code model.layers.3.mlp}
   */
  LayoutDetector(ModuleTensors tensors, String module, LayerRecipe recipe) {
    this.tensors = tensors;
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
    if (tensors.has(dot + "experts.gate_up_proj")) {
      return fused(dot + "experts.gate_up_proj", dot + "experts.down_proj");
    }
    if (tensors.has(dot + "input_linear.weight")) {
      return fused(dot + "input_linear.weight", dot + "output_linear.weight");
    }
    if (tensors.has(dot + "experts.mlp.w1")) {
      return flat(dot + "experts.mlp.");
    }
    throw tensors.bad(
        "the experts' tensors have names of no known layout; this variant of the model is not"
            + " supported");
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
    boolean byProjection = tensors.has(prefix + "0.gate_proj.weight");
    ExpertLayout.PerExpert layout =
        byProjection
            ? new ExpertLayout.PerExpert(
                prefix, ".gate_proj.weight", ".up_proj.weight", ".down_proj.weight")
            : new ExpertLayout.PerExpert(prefix, ".w1.weight", ".w3.weight", ".w2.weight");
    for (int e = 0; e < experts; e++) {
      tensors.take(layout.gate(e), new long[] {width, hidden});
      tensors.take(layout.up(e), new long[] {width, hidden});
      tensors.take(layout.down(e), new long[] {hidden, width});
    }
    return layout;
  }

  private ExpertLayout fused(String gateUp, String down) {
    boolean transposed = transposed(gateUp, down);
    String gateUpBias = null;
    String downBias = null;
    if (recipe.expertBias()) {
      gateUpBias = tensors.take(gateUp + "_bias", new long[] {experts, 2 * width});
      downBias = tensors.take(down + "_bias", new long[] {experts, hidden});
    }
    boolean interleaved = recipe.fused() == LayerRecipe.FusedOrder.INTERLEAVED_COLUMNS;
    return new ExpertLayout.Fused(gateUp, down, transposed, interleaved, gateUpBias, downBias);
  }

  /**
   * Each tensor alone can be ambiguous: gate_up where H = 2I, down where H = I. The family's usual
   * order then decides, and must agree with what the other tensor shows.
   */
  private boolean transposed(String gateUp, String down) {
    long[] gateUpRows = {experts, 2 * width, hidden};
    long[] gateUpColumns = {experts, hidden, 2 * width};
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
    long[] shape = {experts * width, hidden};
    return new ExpertLayout.Flat(
        tensors.take(prefix + "w1", shape),
        tensors.take(prefix + "v1", shape),
        tensors.take(prefix + "w2", shape));
  }
}
