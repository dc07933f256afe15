package org.sparkmoe.kernels.layer;

import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.sparkmoe.kernels.combine.InputWeight;
import org.sparkmoe.kernels.experts.DispatchedTokens;
import org.sparkmoe.kernels.experts.ExpertClock;
import org.sparkmoe.kernels.experts.RoutedExperts;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/** A whole layer over one batch, as {@link MoeLayerSpec} writes it. */
final class LayerForward {
  private static final int LEAST_ROWS = 32;
  private static final int MOST_ROWS = 256;

  private final PreparedLayer layer;
  private final MoeLayerSpec spec;
  private final PinnedWeights pinned;
  private final Team team;
  private final ExpertClock clock;

  LayerForward(PreparedLayer layer, PinnedWeights pinned, Team team, ExpertClock clock) {
    this.layer = layer;
    this.spec = layer.spec();
    this.pinned = pinned;
    this.team = team;
    this.clock = clock;
  }

  void run(int tokens, Activations hidden, Activations out, Workspace ws) {
    Optional<RoutedExperts> whole =
        layer.codecs().input().isIdentity()
            ? layer.kernel().routed(pinned.gating(), spec.intermediate(), clock)
            : Optional.empty();
    boolean restIsNothing = pinned.shared().isEmpty() && pinned.outputBiasOrNull() == null;
    if (whole.isPresent() && restIsNothing) {
      whole.get().apply(tokens, hidden, layer, out);
      return;
    }
    int mark = ws.mark();
    MemorySegment x = hidden.type() == DType.F32 ? hidden.data() : vectors(tokens, ws);
    if (hidden.type() != DType.F32) {
      convert(tokens, hidden, Activations.f32(x));
    }
    MemorySegment sums = out.type() == DType.F32 ? out.data() : vectors(tokens, ws);
    if (whole.isPresent()) {
      whole.get().apply(tokens, hidden, layer, Activations.f32(sums));
    } else {
      routeAndCompute(tokens, x, sums, ws);
    }
    if (!restIsNothing) {
      addRest(tokens, x, sums, ws);
    }
    if (out.type() != DType.F32) {
      convert(tokens, Activations.f32(sums), out);
    }
    ws.release(mark);
  }

  private MemorySegment vectors(int tokens, Workspace ws) {
    return ws.segment((long) tokens * spec.hidden());
  }

  /** Sums of routed experts, with routes that come here first. */
  private void routeAndCompute(int tokens, MemorySegment hidden, MemorySegment out, Workspace ws) {
    int slots = Math.multiplyExact(tokens, spec.topK());
    int[] ids = new int[slots];
    float[] weights = new float[slots];
    layer.route(tokens, Activations.f32(hidden), ids, weights, ws, team);
    TokenRoutes routes = TokenRoutes.uniform(tokens, spec.topK(), ids, weights);

    int mark = ws.mark();
    MemorySegment x = layer.changesInput() ? vectors(tokens, ws) : hidden;
    if (spec.routing().weightOnInput()) {
      InputWeight.apply(tokens, spec.hidden(), hidden, weights, x);
      routes = routes.withUnitWeights();
    } else if (layer.changesInput()) {
      MemorySegment.copy(hidden, 0, x, 0, x.byteSize());
    }
    if (!layer.codecs().input().isIdentity()) {
      requantize(tokens, x);
    }
    var dispatched = new DispatchedTokens.Standard(routes, spec.hidden(), x);
    layer
        .routedExperts(team, clock)
        .apply(dispatched, ExpertMap.all(spec.experts()), layer, ws, out);
    ws.release(mark);
  }

  private void requantize(int tokens, MemorySegment x) {
    ActivationCodec codec = layer.codecs().input();
    Activations rows = Activations.f32(x);
    stretches(
        tokens,
        (from, to, member) ->
            codec.requantize(to - from, spec.hidden(), rows.rows(from, to, spec.hidden()).data()));
  }

  /** Shared expert and output bias onto {@code sums}. */
  private void addRest(int tokens, MemorySegment hidden, MemorySegment sums, Workspace ws) {
    int mark = ws.mark();
    MemorySegment sharedOrNull = null;
    if (pinned.shared().isPresent()) {
      sharedOrNull = vectors(tokens, ws);
      layer.sharedExpert(tokens, hidden, sharedOrNull, ws, team);
    }
    layer.finish(tokens, sharedOrNull, sums);
    ws.release(mark);
  }

  private void convert(int tokens, Activations from, Activations to) {
    stretches(
        tokens,
        (first, end, member) ->
            from.rows(first, end, spec.hidden())
                .convert(to.rows(first, end, spec.hidden()), (long) (end - first) * spec.hidden()));
  }

  private void stretches(int tokens, Team.Stretch work) {
    team.stretches(tokens, team.share(tokens, LEAST_ROWS, MOST_ROWS), work);
  }
}
