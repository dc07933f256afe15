package org.sparkmoe.kernels.experts;

import java.lang.foreign.Arena;
import java.util.Optional;
import org.sparkmoe.kernels.cuda.Gpu;
import org.sparkmoe.kernels.cuda.GpuRouter;
import org.sparkmoe.kernels.cuda.GpuRouting;
import org.sparkmoe.kernels.cuda.Lane;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.router.Gating;
import org.sparkmoe.kernels.router.GroupLimit;
import org.sparkmoe.kernels.router.Normalization;
import org.sparkmoe.kernels.router.RouterWeights;
import org.sparkmoe.kernels.router.RoutingRule;
import org.sparkmoe.kernels.router.SparseMixerRule;
import org.sparkmoe.kernels.router.TopKRule;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * The router on the GPU: the logits of the scalar backend, bit for bit, and the scores of the CPU's
 * router in f64. Both choose the same experts unless two scores that differ are so close that the
 * last bit of an f64 exponential decides; weights differ by one unit in the last place of f32 at
 * most.
 */
final class CudaGating implements Gating {
  /** Tokens that are routed together, at most. */
  private static final int MOST_TOKENS = 1 << 14;

  private final Gpu gpu;
  private final GpuRouter router;
  private final boolean weightOnInput;

  CudaGating(Gpu gpu, TopKRule rule, RouterWeights weights, Arena arena) {
    this.gpu = gpu;
    this.weightOnInput = rule.weightOnInput();
    this.router =
        GpuRouter.upload(
            gpu,
            code(rule, weights.router().rows()),
            weights.router(),
            weights.biasOrNull(),
            weights.selectionBiasOrNull(),
            arena);
  }

  /** Why a rule is not applied on the GPU; empty where it is. */
  static Optional<String> refusal(RoutingRule rule, int experts) {
    return switch (rule) {
      case SparseMixerRule _ -> Optional.of("sparsemixer");
      case TopKRule _ when experts > GpuRouting.MOST_EXPERTS ->
          Optional.of("%d experts, more than %d".formatted(experts, GpuRouting.MOST_EXPERTS));
      case TopKRule _ -> Optional.empty();
    };
  }

  @Override
  public long workspaceBytes(int tokens, Team team) {
    return 0;
  }

  @Override
  public void route(
      int tokens, Activations hidden, int[] topkIds, float[] topkWeights, Workspace ws, Team team) {
    if (tokens == 0) {
      return;
    }
    try (Lane lane = gpu.lane()) {
      for (int from = 0; from < tokens; from += MOST_TOKENS) {
        int to = Math.min(tokens, from + MOST_TOKENS);
        Activations rows = hidden.rows(from, to, router.hidden());
        lane.load(router.hidden(), to - from, rows.data(), rows.type());
        lane.route(router);
        lane.fetchRoutes(topkIds, topkWeights, from * router.rule().topK());
      }
    }
  }

  /** Router and experts together, where the weights do not multiply what the experts read. */
  Optional<RoutedExperts> withExperts(int intermediate, ExpertClock clock) {
    if (weightOnInput) {
      return Optional.empty();
    }
    return Optional.of(
        (tokens, x, bank, out) ->
            new CudaPass(
                    gpu,
                    ExpertMap.all(router.rule().experts()),
                    bank,
                    new Unrouted(router, tokens, x, out))
                .run(gpu.rowsAtOnce(router.hidden(), intermediate), clock));
  }

  /** Tokens that are routed where they are computed. */
  private record Unrouted(GpuRouter router, int tokens, Activations x, Activations out)
      implements CudaPass.Source {
    @Override
    public long assignmentsBefore(int token) {
      return (long) token * router.rule().topK();
    }

    @Override
    public void load(Lane lane, int from, int to) {
      Activations rows = x.rows(from, to, router.hidden());
      lane.load(router.hidden(), to - from, rows.data(), rows.type());
      lane.route(router);
    }

    @Override
    public void collect(Lane lane, int from, int to) {
      Activations sums = out.rows(from, to, router.hidden());
      lane.combine(sums.data(), sums.type());
    }
  }

  private static GpuRouting code(TopKRule rule, int experts) {
    int scoring =
        switch (rule.scoring()) {
          case SOFTMAX -> 0;
          case SIGMOID -> 1;
          case LOGITS -> 2;
        };
    GroupLimit groups = rule.groups().orElse(new GroupLimit(1, 1, GroupLimit.Score.MAX));
    int groupScore =
        switch (groups.score()) {
          case MAX -> 0;
          case TOP2_SUM -> 1;
        };
    int normalization =
        switch (rule.normalization()) {
          case Normalization.None _ -> 0;
          case Normalization.Softmax _ -> 1;
          case Normalization.Sigmoid _ -> 2;
          case Normalization.Sum _ -> 3;
          case Normalization.Lp _ -> 4;
        };
    double epsilon =
        switch (rule.normalization()) {
          case Normalization.Sum sum -> sum.epsilon();
          case Normalization.Lp lp -> lp.p();
          default -> 0;
        };
    double floor = rule.normalization() instanceof Normalization.Sum sum ? sum.floor() : 0;
    return new GpuRouting(
        experts,
        rule.topK(),
        scoring,
        groups.groups(),
        groups.kept(),
        groupScore,
        normalization,
        epsilon,
        floor,
        rule.scalingFactor());
  }
}
