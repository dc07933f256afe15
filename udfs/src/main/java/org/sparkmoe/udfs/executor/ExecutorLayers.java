package org.sparkmoe.udfs.executor;

import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.OptionalInt;
import org.sparkmoe.datasets.checkpoint.LayerTensors;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.natives.NativeCache;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.udfs.plan.LayerPlan;

/**
 * The layers that this executor has loaded, shared by its tasks, each with a store of packed
 * weights whose size its plan says: runs side by side keep to their own. A layer without users
 * stays until another layer is asked for, so that consecutive stages of a job find it, and no two
 * idle ones pile up.
 */
final class ExecutorLayers {
  private static final Map<Key, Entry> LAYERS = new HashMap<>();

  private ExecutorLayers() {}

  /** What a run measures with is packed into the experts, so it is another layer. */
  private record Layer(String runId, String fingerprint, Backend backend, LayerCodecs codecs) {}

  /** Every GPU that tasks of an executor are given holds the layer itself. */
  private record Key(Layer layer, OptionalInt gpu) {}

  /**
   * One loaded layer; guarded by {@link #LAYERS}, except that loading happens once, under its own
   * lock.
   */
  private static final class Entry {
    private final ExpertStore store = ExpertStore.unbounded();
    private int users;
    private LayerTensors tensors;
    private PreparedLayer prepared;

    private synchronized PreparedLayer load(LayerPlan plan, OptionalInt gpu) {
      if (prepared == null) {
        NativeCache.nameFolder(plan.hadoop().value().get(NativeCache.FOLDER_PROPERTY));
        LayerTensors opened = plan.layer().open(plan.hadoop().value());
        try {
          prepared =
              PreparedLayer.prepare(
                  plan.spec(), opened, ExpertKernel.of(plan.backend(), gpu), plan.codecs(), store);
        } finally {
          if (prepared == null) {
            opened.close();
          }
        }
        tensors = opened;
      }
      return prepared;
    }

    private synchronized void unload() {
      if (prepared != null) {
        prepared.close();
        prepared = null;
        tensors.close();
      }
    }
  }

  /** A task's share of a layer. Close it once. */
  static final class Lease implements AutoCloseable {
    private final Entry entry;
    private final PreparedLayer layer;

    private Lease(Entry entry, PreparedLayer layer) {
      this.entry = entry;
      this.layer = layer;
    }

    PreparedLayer layer() {
      return layer;
    }

    @Override
    public void close() {
      synchronized (LAYERS) {
        if (--entry.users == 0) {
          layer.setIdle(true);
        }
      }
    }
  }

  /**
   * The layer of {@code plan}, for tasks that Spark gave {@code gpu}, loaded where it is not there.
   */
  static Lease acquire(LayerPlan plan, OptionalInt gpu) {
    Layer wanted =
        new Layer(plan.runId(), plan.layer().fingerprint(), plan.backend(), plan.codecs());
    Key key = new Key(wanted, plan.backend() == Backend.CUDA ? gpu : OptionalInt.empty());
    Entry entry;
    synchronized (LAYERS) {
      closeIdle(wanted);
      entry = LAYERS.computeIfAbsent(key, absent -> new Entry());
      entry.store.limit(plan.storeBytes());
      entry.users++;
    }
    boolean loaded = false;
    try {
      PreparedLayer layer = entry.load(plan, key.gpu());
      layer.setIdle(false);
      loaded = true;
      return new Lease(entry, layer);
    } finally {
      if (!loaded) {
        synchronized (LAYERS) {
          entry.users--;
        }
      }
    }
  }

  private static void closeIdle(Layer wanted) {
    Iterator<Map.Entry<Key, Entry>> entries = LAYERS.entrySet().iterator();
    while (entries.hasNext()) {
      Map.Entry<Key, Entry> candidate = entries.next();
      if (!candidate.getKey().layer().equals(wanted) && candidate.getValue().users == 0) {
        candidate.getValue().unload();
        entries.remove();
      }
    }
  }
}
