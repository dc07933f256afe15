package org.sparkmoe.datasets.checkpoint.write;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.List;

/**
 * Tensors that follow each other in one shard.
 *
 * @param entries in the order of their data
 * @param chunks make that data, one after the other without gaps, and may run at the same time
 */
record Part(List<Entry> entries, List<Chunk> chunks) {

  /** A piece of the data, made when its turn is near. */
  interface Chunk {
    /**
     * Makes the data.
     *
     * @param memory of the caller, who writes the result and then frees it
     */
    Made make(SegmentAllocator memory);
  }

  /**
   * What a chunk came to.
   *
   * @param data to be written in this order
   * @param errors of the weights that were quantized for it
   */
  record Made(List<MemorySegment> data, List<TensorError> errors) {}

  /** Bytes of data. */
  long bytes() {
    return entries.stream().mapToLong(Entry::bytes).sum();
  }
}
