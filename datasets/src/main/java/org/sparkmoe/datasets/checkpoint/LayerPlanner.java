package org.sparkmoe.datasets.checkpoint;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.layer.SharedExpertSpec;

/** Gives every tensor of a mixture its part, or refuses. */
final class LayerPlanner {
  private static final List<String> ROUTERS =
      List.of("gate.weight", "router.weight", "router.layer.weight", "gate.wg.weight");

  private static final List<String> SELECTION_BIASES =
      List.of(
          "gate.e_score_correction_bias",
          "e_score_correction_bias",
          "moe_statics.e_score_correction_bias",
          "gate.moe_statics.e_score_correction_bias",
          "expert_bias");

  private static final List<String> SHARED =
      List.of("shared_expert.", "shared_experts.", "shared_mlp.");

  private final ModuleTensors tensors;
  private final LinearPlanner linears;
  private final LayerActivations activations;
  private final String module;
  private final LayerRecipe recipe;
  private final MoeLayerSpec spec;

  /**
   * @param linears of the same tensors
   * @param activations learns how inputs are quantized
   * @param module full name of the mixture, for example {@code model.layers.3.mlp}
   */
  LayerPlanner(
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
    this.spec = recipe.spec();
  }

  LayerPlan plan() {
    long experts = spec.experts();
    long hidden = spec.hidden();
    String router = tensors.take(required("router", ROUTERS), new long[] {experts, hidden});
    String routerBias =
        recipe.routerBias()
            ? tensors.take(router.replaceAll("weight$", "bias"), new long[] {experts})
            : null;
    String selectionBias =
        recipe.selectionBias()
            ? tensors.take(
                required("selection bias", SELECTION_BIASES),
                new long[] {experts},
                new long[] {1, experts})
            : null;
    ExpertLayout layout =
        new LayoutDetector(tensors, linears, activations, module, recipe).detect();
    Optional<SharedExpertSpec> shared = spec.shared();
    LayerPlan.Shared sharedPlan = shared.map(this::shared).orElse(null);
    String sharedGate =
        shared.isPresent() && shared.get().gated()
            ? tensors.take(module + ".shared_expert_gate.weight", new long[] {1, hidden})
            : null;
    String outputBias =
        recipe.outputBias() ? tensors.take(module + ".bias", new long[] {hidden}) : null;
    tensors.refuseLeftovers();
    return new LayerPlan(
        router, routerBias, selectionBias, layout, sharedPlan, sharedGate, outputBias);
  }

  /** Names of the tensors that belong to a mixture; Granite's shared expert stands beside it. */
  static boolean belongs(String module, String name) {
    return name.startsWith(module + ".") || name.startsWith(beside(module));
  }

  private static String beside(String module) {
    return module.substring(0, module.lastIndexOf('.')) + ".shared_mlp.";
  }

  private String required(String what, List<String> names) {
    List<String> full = names.stream().map(name -> module + "." + name).toList();
    return tensors
        .oneOf(what, full)
        .orElseThrow(
            () ->
                tensors.bad(
                    "has no tensor for the %s, looked for %s; download the whole checkpoint"
                        .formatted(what, String.join(", ", names))));
  }

  private LayerPlan.Shared shared(SharedExpertSpec shared) {
    int hidden = spec.hidden();
    int width = shared.intermediate();
    String fused = beside(module) + "input_linear";
    if (linears.has(fused)) {
      LinearPlan both = linears.plan(fused, 2 * width, hidden);
      return shared(
          both.rows(0, width, tensors),
          both.rows(width, width, tensors),
          linears.plan(beside(module) + "output_linear", hidden, width));
    }
    String prefix =
        Stream.concat(SHARED.stream().map(name -> module + "." + name), Stream.of(beside(module)))
            .filter(name -> linears.has(name + "gate_proj"))
            .findFirst()
            .orElseThrow(
                () ->
                    tensors.bad(
                        "has no shared expert, but config.json describes one; both must be of one"
                            + " model"));
    return shared(
        linears.plan(prefix + "gate_proj", width, hidden),
        linears.plan(prefix + "up_proj", width, hidden),
        linears.plan(prefix + "down_proj", hidden, width));
  }

  private LayerPlan.Shared shared(LinearPlan gate, LinearPlan up, LinearPlan down) {
    return new LayerPlan.Shared(
        activations.sharedInput(gate).weight(),
        activations.sharedInput(up).weight(),
        activations.sharedInner(down).weight());
  }
}
