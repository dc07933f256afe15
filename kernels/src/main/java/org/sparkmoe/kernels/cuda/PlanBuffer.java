package org.sparkmoe.kernels.cuda;

import java.lang.foreign.MemorySegment;

/**
 * Room for tile plans that the GPU reads later than they are written: one behind the other, from
 * the start again once all of them were read. A kernel fetches them, because copies run in the
 * order in which they were started, and those of the tokens of later batches would come first.
 */
final class PlanBuffer {
  private static final long BYTES = 1L << 20;
  private static final int CHUNK_BYTES = 16;
  private static final int THREADS = 256;
  private static final int MOST_BLOCKS = 16;

  private final Gpu gpu;
  private final PinnedBuffer here;
  private final DeviceBuffer there;
  private long next;

  PlanBuffer(Gpu gpu) {
    this.gpu = gpu;
    this.here = new PinnedBuffer(gpu.driver());
    this.there = new DeviceBuffer(gpu);
  }

  /** Brings a plan to the GPU, in {@code stream}; returns its address there. */
  long upload(Stream stream, MemorySegment plan) {
    long bytes = Gpu.aligned(plan.byteSize());
    if (next + bytes > BYTES) {
      stream.synchronize();
      next = 0;
    }
    long room = Math.max(BYTES, bytes);
    MemorySegment source = here.of(room).asSlice(next, plan.byteSize()).copyFrom(plan);
    long target = there.of(room) + next;
    int chunks = (int) Math.ceilDiv(plan.byteSize(), (long) CHUNK_BYTES);
    stream.launch(
        gpu.kernels().tokens().fetch(),
        Math.min(MOST_BLOCKS, Math.ceilDiv(chunks, THREADS)),
        1,
        THREADS,
        0,
        source.address(),
        target,
        chunks);
    next += bytes;
    return target;
  }

  void free() {
    here.free();
    there.free();
  }
}
