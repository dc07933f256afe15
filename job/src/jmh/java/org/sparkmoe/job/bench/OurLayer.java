package org.sparkmoe.job.bench;

import java.lang.foreign.Arena;
import java.util.HashMap;
import java.util.Map;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.bench.LayerProof;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.experts.ExpertClock;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ExpertLease;
import org.sparkmoe.kernels.layer.LayerWeights;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.Workspace;

/** Our layer on one backend, shared by a team of threads. */
final class OurLayer implements Contender {
  private final Arena arena = Arena.ofShared();
  private final RandomLayer weights;
  private final PreparedLayer layer;
  private final Team team;
  private final Map<Integer, Workspace> workspaces = new HashMap<>();

  private OurLayer(RandomLayer weights, LayerWeights stored, Backend backend, int threads) {
    this.weights = weights;
    this.layer =
        PreparedLayer.prepare(
            weights.shape().spec(), stored, ExpertKernel.of(backend), ExpertStore.unbounded());
    this.team = Team.of(threads);
  }

  /** Packs all experts at once, so that no measurement includes it. */
  OurLayer(RandomLayer weights, Backend backend, int threads) {
    this(weights, weights, backend, threads);
    packedBytes();
  }

  /** Reads and packs each expert when it is first used. */
  static OurLayer reading(LayerWeights stored, RandomLayer weights, Backend backend, int threads) {
    return new OurLayer(weights, stored, backend, threads);
  }

  @Override
  public String name() {
    return layer.kernel().backend().name();
  }

  /** Bytes of the experts as this backend holds them. */
  long packedBytes() {
    long bytes = 0;
    for (int e = 0; e < weights.shape().experts(); e++) {
      try (ExpertLease lease = layer.acquire(e)) {
        bytes += lease.expert().bytes();
      }
    }
    return bytes;
  }

  @Override
  public void run(Batch batch) {
    layer.forward(
        batch.tokens(), batch.x(), batch.out(), workspace(batch.tokens()), team, ExpertClock.NONE);
  }

  @Override
  public void prove(Batch batch) {
    run(batch);
    check(batch);
  }

  /** Proves what an earlier {@link #run} left in {@code batch.out}. */
  void check(Batch batch) {
    LayerProof.checkLayer(
        name(),
        weights,
        batch.tokens(),
        batch.x(),
        batch.out(),
        LayerProof.tolerance(layer.kernel().backend()));
  }

  @Override
  public void close() {
    team.close();
    layer.close();
    arena.close();
  }

  /** Made on the first call of a size, so that no measurement includes it. */
  private Workspace workspace(int tokens) {
    return workspaces.computeIfAbsent(
        tokens, t -> layer.kernel().workspace(layer.workspaceBytes(t, team), arena));
  }
}
