package org.sparkmoe.udfs.gating;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.checkpoint.LayerTensors;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.natives.NativeCache;
import org.sparkmoe.kernels.router.Gating;
import org.sparkmoe.kernels.router.RouterWeights;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * The router of one layer without its experts, one row at a time: the ids and weights are those of
 * {@link RouteFunction} with the same backend, bit for bit. Shared by the tasks of an executor.
 */
public final class Gate {
  /** Routers that an executor keeps: some MiB each. */
  private static final int MOST_KEPT = 8;

  private static final Map<Key, Gate> KEPT =
      new LinkedHashMap<>(2 * MOST_KEPT, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Key, Gate> eldest) {
          return size() > MOST_KEPT;
        }
      };

  private final MoeLayerSpec spec;
  private final ExpertKernel kernel;
  private final Gating gating;

  private record Key(String model, int layer, Backend backend) {}

  private Gate(MoeLayer layer, Backend backend, Configuration hadoop) {
    this.spec = layer.spec();
    this.kernel = ExpertKernel.of(backend);
    try (LayerTensors tensors = layer.open(hadoop);
        Arena staging = Arena.ofConfined()) {
      RouterWeights weights =
          new RouterWeights(
              tensors.router(staging),
              tensors.routerBias().orElse(null),
              tensors.selectionBias().orElse(null));
      // freed with the gate, which tasks of several queries may hold
      this.gating = kernel.gating(spec.routing(), weights, Arena.ofAuto());
    }
  }

  /**
   * The router of a layer, read from the checkpoint where this process has not read it yet. A
   * checkpoint that is replaced in place is not noticed.
   *
   * @param model checkpoint folder, a Hadoop path
   * @throws org.sparkmoe.datasets.InputException for a checkpoint or layer that cannot be used
   */
  public static Gate of(String model, int layer, Backend backend, Configuration hadoop) {
    Key key = new Key(model, layer, backend);
    synchronized (KEPT) {
      Gate kept = KEPT.get(key);
      if (kept == null) {
        NativeCache.nameFolder(hadoop.get(NativeCache.FOLDER_PROPERTY));
        kept = new Gate(Checkpoint.open(model, hadoop).layer(layer), backend, hadoop);
        KEPT.put(key, kept);
      }
      return kept;
    }
  }

  /** H, the width of the rows. */
  public int hidden() {
    return spec.hidden();
  }

  /** k, the experts of a row. */
  public int topK() {
    return spec.topK();
  }

  /** A place to route rows in, for one thread. */
  public Rows rows() {
    return new Rows();
  }

  /** Routes row after row. One thread at a time. */
  public final class Rows {
    private final Arena arena = Arena.ofAuto();
    private final MemorySegment x = arena.allocate(DType.F32.bytes(spec.hidden()), 64);
    private final Workspace workspace =
        kernel.workspace(gating.workspaceBytes(1, Team.SOLO), arena);
    private final int[] ids = new int[spec.topK()];
    private final float[] weights = new float[spec.topK()];

    private Rows() {}

    /**
     * Routes a row; {@link #ids} and {@link #weights} hold the result.
     *
     * @param hidden H values
     * @throws IllegalArgumentException for a row of another width
     */
    public void route(float[] hidden) {
      if (hidden.length != spec.hidden()) {
        throw new IllegalArgumentException(
            "hidden has %d values, the layer takes %d".formatted(hidden.length, spec.hidden()));
      }
      MemorySegment.copy(hidden, 0, x, DType.LE_FLOAT, 0, hidden.length);
      gating.route(1, Activations.f32(x), ids, weights, workspace, Team.SOLO);
    }

    /** k expert ids, best first. */
    public int[] ids() {
      return ids;
    }

    /** k weights, scaling factor included. */
    public float[] weights() {
      return weights;
    }
  }
}
