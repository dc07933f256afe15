package org.sparkmoe.datasets.checkpoint;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.kernels.quant.LayerSchemes;
import org.sparkmoe.kernels.quant.ScaledScheme;

/**
 * How the activations of one layer are to be quantized, before the static scales are read.
 *
 * <p>All gate and up projections have one input, so they share a scheme; so do the down
 * projections. Where one of them wants its input as it is, all get it so. A static scale of the
 * layer is the largest that any of its projections has: a smaller one would clip what that one does
 * not.
 */
final class LayerActivations {
  private final List<LinearPlan> inputs = new ArrayList<>();
  private final List<LinearPlan> inners = new ArrayList<>();
  private final List<LinearPlan> sharedInputs = new ArrayList<>();
  private final List<LinearPlan> sharedInners = new ArrayList<>();

  /** A gate or up projection of a routed expert, or a plan that stands for all of them. */
  LinearPlan input(LinearPlan plan) {
    inputs.add(plan);
    return plan;
  }

  /** A down projection of a routed expert. */
  LinearPlan inner(LinearPlan plan) {
    inners.add(plan);
    return plan;
  }

  /** A gate or up projection of the shared expert. */
  LinearPlan sharedInput(LinearPlan plan) {
    sharedInputs.add(plan);
    return plan;
  }

  /** The down projection of the shared expert. */
  LinearPlan sharedInner(LinearPlan plan) {
    sharedInners.add(plan);
    return plan;
  }

  /** Scalars to read before {@link #schemes}. */
  List<TensorRef> scales() {
    List<TensorRef> scales = new ArrayList<>();
    for (List<LinearPlan> plans : List.of(inputs, inners, sharedInputs, sharedInners)) {
      plans.stream()
          .map(LinearPlan::scaleOrNull)
          .filter(scale -> scale != null)
          .forEach(scales::add);
    }
    return scales;
  }

  /**
   * The schemes.
   *
   * @param values of {@link #scales}, by name
   * @param tensors for messages
   */
  LayerSchemes schemes(Map<String, Float> values, ModuleTensors tensors) {
    return new LayerSchemes(
        scheme(inputs, values, tensors),
        scheme(inners, values, tensors),
        scheme(sharedInputs, values, tensors),
        scheme(sharedInners, values, tensors));
  }

  private static ScaledScheme scheme(
      List<LinearPlan> plans, Map<String, Float> values, ModuleTensors tensors) {
    Set<ActivationRule> rules = new HashSet<>();
    plans.forEach(plan -> rules.add(plan.activation()));
    if (rules.isEmpty() || rules.contains(ActivationRule.NONE)) {
      return ScaledScheme.NONE;
    }
    if (rules.size() > 1) {
      throw tensors.bad(
          "experts want their common input quantized in different ways (%s), which is not supported"
              .formatted(
                  String.join("; ", rules.stream().map(ActivationRule::label).sorted().toList())));
    }
    ActivationRule rule = rules.iterator().next();
    if (rule.scaleSuffixOrNull() == null) {
      return ScaledScheme.dynamic(rule.scheme());
    }
    float largest = 0;
    for (LinearPlan plan : plans) {
      largest = Math.max(largest, scale(plan, values, tensors));
    }
    return ScaledScheme.fixed(rule.scheme(), largest);
  }

  private static float scale(LinearPlan plan, Map<String, Float> values, ModuleTensors tensors) {
    String name = plan.scaleOrNull().name();
    float stored = values.get(name);
    float scale = plan.activation().reciprocal() ? 1 / stored : stored;
    if (!(scale > 0) || Float.isInfinite(scale)) {
      throw unusable(name, stored, tensors);
    }
    return scale;
  }

  private static InputException unusable(String name, float stored, ModuleTensors tensors) {
    return tensors.bad(
        "tensor %s is %s, a scale must be positive and finite; fetch or quantize the checkpoint again"
            .formatted(Quoted.of(name), stored));
  }
}
