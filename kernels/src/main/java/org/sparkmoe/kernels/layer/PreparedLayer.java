package org.sparkmoe.kernels.layer;

import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.experts.ExpertBank;
import org.sparkmoe.kernels.experts.ExpertClock;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ExpertLease;
import org.sparkmoe.kernels.experts.ExpertLoad;
import org.sparkmoe.kernels.experts.FusedExperts;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.store.StoredExperts;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * A layer ready to run, shared by all tasks of an executor. Router and shared expert are packed at
 * once; each routed expert is read and packed when it is needed and not in the store. Thread-safe;
 * one workspace per thread.
 */
public final class PreparedLayer implements ExpertBank, AutoCloseable {
  /** Tokens that one member of a team takes through the shared expert at a time. */
  private static final int LEAST_ROWS = 32;

  private static final int MOST_ROWS = 256;

  private final MoeLayerSpec spec;
  private final ExpertKernel kernel;
  private final LayerCodecs codecs;
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
    long vectors = Workspace.bytes(tokens * hidden);
    long routed = routedExperts(team, ExpertClock.NONE).workspaceBytes(load);
    return Math.max(
        routeWorkspaceBytes(tokens, team),
        Math.max(
            (changesInput() ? vectors : 0) + routed,
            (spec.shared().isPresent() ? vectors : 0) + sharedExpertWorkspaceBytes(tokens, team)));
  }

  /** Whether routed experts are given other vectors than the layer's own input. */
  boolean changesInput() {
    return spec.routing().weightOnInput() || !codecs.input().isIdentity();
  }

  /** As above, in the calling thread alone. */
  public long workspaceBytes(int tokens) {
    return workspaceBytes(tokens, Team.SOLO);
  }

  /**
   * As above, for {@link #forward(int, Activations, Activations, Workspace, Team, ExpertClock)}.
   */
  public long workspaceBytes(int tokens, Team team, DType in, DType out) {
    long vectors = Workspace.bytes((long) tokens * spec.hidden());
    return workspaceBytes(tokens, team)
        + (in == DType.F32 ? 0 : vectors)
        + (out == DType.F32 ? 0 : vectors);
  }

  /** Workspace of {@link #route}. */
  public long routeWorkspaceBytes(int tokens, Team team) {
    return pinned.gating().workspaceBytes(tokens, team);
  }

  /** Workspace of {@link #sharedExpert}; 0 without one. */
  public long sharedExpertWorkspaceBytes(int tokens, Team team) {
    int piece = team.share(tokens, LEAST_ROWS, MOST_ROWS);
    return pinned.shared().map(s -> team.members() * s.workspaceBytes(piece)).orElse(0L);
  }

  /**
   * Chooses the experts of each token.
   *
   * @param hidden tokens × H
   * @param topkIds receives tokens × k expert ids
   * @param topkWeights receives tokens × k weights
   * @param team shares the tokens
   */
  public void route(
      int tokens, Activations hidden, int[] topkIds, float[] topkWeights, Workspace ws, Team team) {
    pinned.gating().route(tokens, hidden, topkIds, topkWeights, ws, team);
  }

  /** As above, of vectors in f32, in the calling thread alone. */
  public void route(
      int tokens, MemorySegment hidden, int[] topkIds, float[] topkWeights, Workspace ws) {
    route(tokens, Activations.f32(hidden), topkIds, topkWeights, ws, Team.SOLO);
  }

  /**
   * Routed expert {@code id}; waits while it is read and packed, and for memory to pack it into.
   */
  @Override
  public ExpertLease acquire(int id) {
    return experts.acquire(id);
  }

  /** Routed expert {@code id}, where no other thread packs it. */
  @Override
  public Optional<ExpertLease> acquireUnlessPacking(int id) {
    return experts.acquireUnlessPacking(id);
  }

  /** Routed expert {@code id}, where it is packed. */
  @Override
  public Optional<ExpertLease> acquireIfReady(int id) {
    return experts.acquireIfReady(id);
  }

  /** Routed expert {@code id}, where it is packed or can be without waiting. */
  @Override
  public Optional<ExpertLease> acquireIfRoom(int id) {
    return experts.acquireIfRoom(id);
  }

  @Override
  public int capacity() {
    return experts.capacity();
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
    forward(tokens, Activations.f32(hidden), Activations.f32(out), ws, team, clock);
  }

  /**
   * As above, from and to any type. The result is rounded once; where a kernel has router and
   * experts in one place, vectors travel there and back as they are.
   *
   * @param ws at least {@link #workspaceBytes(int, Team, DType, DType)} free
   */
  public void forward(
      int tokens, Activations hidden, Activations out, Workspace ws, Team team, ExpertClock clock) {
    new LayerForward(this, pinned, team, clock).run(tokens, hidden, out, ws);
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

  FusedExperts routedExperts(Team team, ExpertClock clock) {
    return FusedExperts.standard(kernel, WeightAndReduce.NO_OP, clock, team);
  }
}
