package org.sparkmoe.datasets.checkpoint;

import java.io.Serializable;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;

/**
 * Where one tensor's bytes are.
 *
 * @param name as in the file
 * @param shard name of the file within the checkpoint's folder
 * @param dtype element type
 * @param shape outermost dimension first; do not modify
 * @param begin first byte, counted from the start of the file
 * @param end byte after the last, counted from the start of the file
 */
public record TensorRef(
    String name, String shard, SafetensorsDType dtype, long[] shape, long begin, long end)
    implements Serializable {

  /** Bytes of data. */
  public long bytes() {
    return end - begin;
  }
}
