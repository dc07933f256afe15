package org.sparkmoe.datasets.checkpoint.write;

import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.conf.Configuration;
import org.sparkmoe.datasets.checkpoint.LayerTensors;
import org.sparkmoe.datasets.checkpoint.MoeLayer;

/** A layer whose files are open from the first read to the last. Thread-safe. */
final class LayerSource implements AutoCloseable {
  private final MoeLayer layer;
  private final Configuration conf;
  private final AtomicInteger left;
  private LayerTensors tensorsOrNull;

  /**
   * Opens nothing yet.
   *
   * @param reads how often it will be read
   */
  LayerSource(MoeLayer layer, Configuration conf, int reads) {
    this.layer = layer;
    this.conf = conf;
    this.left = new AtomicInteger(reads);
  }

  MoeLayer layer() {
    return layer;
  }

  /** What reads the layer's tensors. */
  interface Read<T> {
    T from(LayerTensors tensors);
  }

  <T> T read(Read<T> read) {
    T result = read.from(tensors());
    if (left.decrementAndGet() == 0) {
      close();
    }
    return result;
  }

  private synchronized LayerTensors tensors() {
    if (tensorsOrNull == null) {
      tensorsOrNull = layer.open(conf);
    }
    return tensorsOrNull;
  }

  @Override
  public synchronized void close() {
    if (tensorsOrNull != null) {
      tensorsOrNull.close();
      tensorsOrNull = null;
    }
  }
}
