package org.sparkmoe.kernels.layer;

import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.sparkmoe.kernels.combine.InputWeight;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.experts.DispatchedTokens;
import org.sparkmoe.kernels.experts.ExpertBank;
import org.sparkmoe.kernels.experts.ExpertClock;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ExpertLease;
import org.sparkmoe.kernels.experts.ExpertLoad;
import org.sparkmoe.kernels.experts.FusedExperts;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.router.Router;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.store.StoredExperts;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * A layer ready to run, shared by all tasks of an executor. Router and shared expert are packed at
 * once; each routed expert is read and packed when it is needed and not in the store. Thread-safe;
 * one workspace per thread.
 */
public final class PreparedLayer implements ExpertBank, AutoCloseable {
  /** Tokens that one member of a team routes or takes through the shared expert at a time. */
  private static final int LEAST_ROWS = 32;

  private static final int MOST_ROWS = 256;

  private final MoeLayerSpec spec;
  private final ExpertKernel kernel;
  private final LayerCodecs codecs;
  private final Router router;
  private final PinnedWeights pinned;
  private final LayerPacker packer;
  private final StoredExperts experts;

  private PreparedLayer(
      MoeLayerSpec spec,
      ExpertKernel kernel,
      LayerCodecs codecs,
      PinnedWeights pinned,
      LayerPacker packer,
      StoredExperts experts) {
    this.spec = spec;
    this.kernel = kernel;
    this.codecs = codecs;
    this.router = Router.of(spec.routing(), spec.experts());
    this.pinned = pinned;
    this.packer = packer;
    this.experts = experts;
  }

  /**
   * Prepares a layer.
   *
   * @param weights borrowed; kept open as long as the layer is used
   * @param codecs how activations are quantized
   * @param store holds all packed weights of the layer
   * @throws IllegalArgumentException where tensors do not have the shapes {@code spec} announces
   * @throws IllegalStateException where the store could never hold router and shared expert
   */
  public static PreparedLayer prepare(
      MoeLayerSpec spec,
      LayerWeights weights,
      ExpertKernel kernel,
      LayerCodecs codecs,
      ExpertStore store) {
    LayerPacker packer = new LayerPacker(spec, weights, kernel, codecs);
    StoredExperts experts = store.open(spec.experts(), packer);
    PinnedWeights pinned = null;
    try {
      pinned = PinnedWeights.prepare(spec, weights, kernel, codecs, experts);
    } finally {
      if (pinned == null) {
        experts.close();
        packer.close();
      }
    }
    return new PreparedLayer(spec, kernel, codecs, pinned, packer, experts);
  }

  /** As above, for a layer whose activations are not quantized. */
  public static PreparedLayer prepare(
      MoeLayerSpec spec, LayerWeights weights, ExpertKernel kernel, ExpertStore store) {
    return prepare(spec, weights, kernel, LayerCodecs.NONE, store);
  }

  public MoeLayerSpec spec() {
    return spec;
  }

  /** How activations are quantized, or measured, here. */
  public LayerCodecs codecs() {
    return codecs;
  }

  /** The kernel that prepared the experts and has to run them. */
  public ExpertKernel kernel() {
    return kernel;
  }

  /**
   * Workspace of every method here.
   *
   * @param tokens of a call, at most
   * @param team that shares them
   */
  public long workspaceBytes(int tokens, Team team) {
    long hidden = spec.hidden();
    ExpertLoad load =
        new ExpertLoad(Math.multiplyExact(tokens, spec.topK()), spec.hidden(), spec.intermediate());
    long routed = routedExperts(team, ExpertClock.NONE).workspaceBytes(load);
    return Workspace.bytes(tokens * hidden)
        + Math.max(
            routeWorkspaceBytes(tokens, team),
            Math.max(routed, sharedExpertWorkspaceBytes(tokens, team)));
  }

  /** As above, in the calling thread alone. */
  public long workspaceBytes(int tokens) {
    return workspaceBytes(tokens, Team.SOLO);
  }

  /** Workspace of {@link #logits} and {@link #route}. */
  public long routeWorkspaceBytes(int tokens, Team team) {
    int piece = team.share(tokens, LEAST_ROWS, MOST_ROWS);
    return team.members() * kernel.gemm().workspaceBytes(piece, spec.hidden());
  }

  /** Workspace of {@link #sharedExpert}; 0 without one. */
  public long sharedExpertWorkspaceBytes(int tokens, Team team) {
    int piece = team.share(tokens, LEAST_ROWS, MOST_ROWS);
    return pinned.shared().map(s -> team.members() * s.workspaceBytes(piece)).orElse(0L);
  }

  /**
   * Router logits: {@code hidden · routerᵀ + routerBias}.
   *
   * @param hidden tokens × H f32
   * @param out receives tokens × E
   */
  public void logits(int tokens, MemorySegment hidden, float[] out, Workspace ws) {
    kernel
        .gemm()
        .multiply(
            tokens,
            hidden,
            pinned.router(),
            pinned.routerBiasOrNull(),
            MemorySegment.ofArray(out),
            ws);
  }

  /**
   * Chooses the experts of each token.
   *
   * @param hidden tokens × H f32
   * @param topkIds receives tokens × k expert ids
   * @param topkWeights receives tokens × k weights
   * @param team shares the tokens
   */
  public void route(
      int tokens,
      MemorySegment hidden,
      int[] topkIds,
      float[] topkWeights,
      Workspace ws,
      Team team) {
    int mark = ws.mark();
    Workspace[] parts = ws.split(team.members());
    long vector = DType.F32.bytes(spec.hidden());
    team.stretches(
        tokens,
        team.share(tokens, LEAST_ROWS, MOST_ROWS),
        (from, to, member) -> {
          MemorySegment rows = hidden.asSlice(from * vector, (to - from) * vector);
          float[] logits = new float[Math.multiplyExact(to - from, spec.experts())];
          logits(to - from, rows, logits, parts[member]);
          router.route(to - from, logits, pinned.selectionBiasOrNull(), topkIds, topkWeights, from);
        });
    ws.release(mark);
  }

  /** As above, in the calling thread alone. */
  public void route(
      int tokens, MemorySegment hidden, int[] topkIds, float[] topkWeights, Workspace ws) {
    route(tokens, hidden, topkIds, topkWeights, ws, Team.SOLO);
  }

  /**
   * Routed expert {@code id}; waits while it is read and packed, and for memory to pack it into.
   */
  @Override
  public ExpertLease acquire(int id) {
    return experts.acquire(id);
  }

  /** Routed expert {@code id}, where it is packed. */
  @Override
  public Optional<ExpertLease> acquireIfReady(int id) {
    return experts.acquireIfReady(id);
  }

  /** Says whether anybody uses the layer: an idle one gives up its experts first. */
  public void setIdle(boolean idle) {
    experts.setIdle(idle);
  }

  /** Gives all weights back; waits for experts on loan. The layer cannot be used any more. */
  @Override
  public void close() {
    experts.close();
    packer.close();
  }

  /**
   * The shared expert, its sigmoid gate included.
   *
   * @param hidden tokens × H f32, not weighed by the router
   * @param out tokens × H f32
   * @param team shares the tokens
   * @throws IllegalStateException where the layer has none
   */
  public void sharedExpert(
      int tokens, MemorySegment hidden, MemorySegment out, Workspace ws, Team team) {
    shared(tokens, hidden, out, ws, team, sharedOrThrow()::forward);
  }

  /**
   * As {@link #sharedExpert}, for an expert without a gate and rows that have been through the
   * codec of its input.
   *
   * @throws IllegalStateException where the layer has none, or one with a gate
   */
  public void quantizedSharedExpert(
      int tokens, MemorySegment rows, MemorySegment out, Workspace ws, Team team) {
    shared(tokens, rows, out, ws, team, sharedOrThrow()::forwardQuantized);
  }

  private SharedExpert sharedOrThrow() {
    return pinned
        .shared()
        .orElseThrow(() -> new IllegalStateException("this layer has no shared expert"));
  }

  /** A step over some rows. */
  private interface RowStep {
    void apply(int rows, MemorySegment in, MemorySegment out, Workspace ws);
  }

  private void shared(
      int tokens, MemorySegment in, MemorySegment out, Workspace ws, Team team, RowStep step) {
    int mark = ws.mark();
    Workspace[] parts = ws.split(team.members());
    long vector = DType.F32.bytes(spec.hidden());
    team.stretches(
        tokens,
        team.share(tokens, LEAST_ROWS, MOST_ROWS),
        (from, to, member) -> {
          long bytes = (to - from) * vector;
          step.apply(
              to - from,
              in.asSlice(from * vector, bytes),
              out.asSlice(from * vector, bytes),
              parts[member]);
        });
    ws.release(mark);
  }

  /**
   * The whole layer in one process, as {@link MoeLayerSpec} writes it.
   *
   * @param hidden tokens × H f32
   * @param out tokens × H f32, must not overlap {@code hidden}
   * @param ws at least {@link #workspaceBytes} free
   * @param team shares experts and tokens; no bit depends on it
   * @param clock told how long each routed expert ran
   */
  public void forward(
      int tokens,
      MemorySegment hidden,
      MemorySegment out,
      Workspace ws,
      Team team,
      ExpertClock clock) {
    int slots = Math.multiplyExact(tokens, spec.topK());
    int[] ids = new int[slots];
    float[] weights = new float[slots];
    route(tokens, hidden, ids, weights, ws, team);
    TokenRoutes routes = TokenRoutes.uniform(tokens, spec.topK(), ids, weights);

    int mark = ws.mark();
    MemorySegment buffer = ws.segment((long) tokens * spec.hidden());
    MemorySegment x = hidden;
    if (spec.routing().weightOnInput()) {
      InputWeight.apply(tokens, spec.hidden(), hidden, weights, buffer);
      x = buffer;
      routes = routes.withUnitWeights();
    }
    if (!codecs.input().isIdentity()) {
      if (!spec.routing().weightOnInput()) {
        MemorySegment.copy(hidden, 0, buffer, 0, buffer.byteSize());
        x = buffer;
      }
      requantize(tokens, buffer, team);
    }
    var dispatched = new DispatchedTokens.Standard(routes, spec.hidden(), x);
    routedExperts(team, clock).apply(dispatched, ExpertMap.all(spec.experts()), this, ws, out);
    boolean shared = pinned.shared().isPresent();
    if (shared) {
      sharedExpert(tokens, hidden, buffer, ws, team);
    }
    finish(tokens, shared ? buffer : null, out);
    ws.release(mark);
  }

  private void requantize(int tokens, MemorySegment x, Team team) {
    long vector = DType.F32.bytes(spec.hidden());
    team.stretches(
        tokens,
        team.share(tokens, LEAST_ROWS, MOST_ROWS),
        (from, to, member) ->
            codecs
                .input()
                .requantize(
                    to - from, spec.hidden(), x.asSlice(from * vector, (to - from) * vector)));
  }

  /** As above, in the calling thread alone. */
  public void forward(int tokens, MemorySegment hidden, MemorySegment out, Workspace ws) {
    forward(tokens, hidden, out, ws, Team.SOLO, ExpertClock.NONE);
  }

  /**
   * The last step of the layer, on sums of routed experts: adds the shared expert, then the output
   * bias, in f32.
   *
   * @param sharedOrNull tokens × H f32, or null without a shared expert
   * @param out tokens × H f32, in place
   */
  public void finish(int tokens, MemorySegment sharedOrNull, MemorySegment out) {
    float[] outputBiasOrNull = pinned.outputBiasOrNull();
    if (sharedOrNull == null && outputBiasOrNull == null) {
      return;
    }
    for (int token = 0; token < tokens; token++) {
      long from = (long) token * spec.hidden();
      for (int h = 0; h < spec.hidden(); h++) {
        float sum = DType.F32.get(out, from + h);
        if (sharedOrNull != null) {
          sum += DType.F32.get(sharedOrNull, from + h);
        }
        if (outputBiasOrNull != null) {
          sum += outputBiasOrNull[h];
        }
        DType.F32.set(out, from + h, sum);
      }
    }
  }

  private FusedExperts routedExperts(Team team, ExpertClock clock) {
    return FusedExperts.standard(kernel, WeightAndReduce.NO_OP, clock, team);
  }
}
