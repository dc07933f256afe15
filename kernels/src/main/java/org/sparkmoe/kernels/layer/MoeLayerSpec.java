package org.sparkmoe.kernels.layer;

import java.io.Serializable;
import java.util.Optional;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.router.GroupLimit;
import org.sparkmoe.kernels.router.RoutingRule;
import org.sparkmoe.kernels.router.TopKRule;

/**
 * What a mixture-of-experts layer computes, without its tensors:
 *
 * <pre>
 *   out(x) = Σ_slots w_slot · expert[id_slot](x)  +  shared(x)  +  outputBias
 *   shared(x) = sharedExpert(x) · (sharedGate ? σ(gate · x) : 1)
 * </pre>
 *
 * <p>Slots are summed in f32 in the order of {@link org.sparkmoe.kernels.combine.ExpertTree}, then
 * the shared expert is added, then the output bias.
 *
 * @param hidden H, width of a token
 * @param intermediate I, width of one routed expert
 * @param experts E, routed experts
 * @param routing how experts are chosen and weighed
 * @param activation of routed and shared experts
 * @param sharedOrNull the shared expert, if any
 */
public record MoeLayerSpec(
    int hidden,
    int intermediate,
    int experts,
    RoutingRule routing,
    Activation activation,
    SharedExpertSpec sharedOrNull)
    implements Serializable {

  public MoeLayerSpec {
    if (hidden < 1 || intermediate < 1 || experts < 1) {
      throw new IllegalArgumentException(
          "hidden %d, intermediate %d, experts %d: all must be at least 1"
              .formatted(hidden, intermediate, experts));
    }
    if (routing.topK() > experts) {
      throw new IllegalArgumentException(
          "top %d of only %d experts".formatted(routing.topK(), experts));
    }
    if (routing instanceof TopKRule rule && rule.groupsOrNull() != null) {
      checkGroups(rule.groupsOrNull(), experts, rule.topK());
    }
  }

  public int topK() {
    return routing.topK();
  }

  /**
   * Floating-point operations of a routed expert for a row: a multiplication and an addition for
   * each weight of gate, where there is one, up and down.
   */
  public double expertFlops() {
    return 2.0 * (activation.gated() ? 3 : 2) * hidden * intermediate;
  }

  public Optional<SharedExpertSpec> shared() {
    return Optional.ofNullable(sharedOrNull);
  }

  private static void checkGroups(GroupLimit limit, int experts, int topK) {
    if (experts % limit.groups() != 0) {
      throw new IllegalArgumentException(
          "%d experts do not divide into %d groups".formatted(experts, limit.groups()));
    }
    int selectable = experts / limit.groups() * limit.kept();
    if (topK > selectable) {
      throw new IllegalArgumentException(
          "top %d of the %d experts that %d of %d groups leave"
              .formatted(topK, selectable, limit.kept(), limit.groups()));
    }
  }
}
