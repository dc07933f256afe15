package org.sparkmoe.kernels.cuda;

import java.lang.foreign.MemorySegment;

/**
 * Room for tile plans that the GPU reads later than they are written: one behind the other, from
 * the start again once all of them were read.
 */
final class PlanBuffer {
  private static final long BYTES = 1L << 20;

  private final PinnedBuffer here;
  private final DeviceBuffer there;
  private long next;

  PlanBuffer(Gpu gpu) {
    this.here = new PinnedBuffer(gpu.driver());
    this.there = new DeviceBuffer(gpu);
  }

  /** Copies a plan to the GPU, in {@code stream}; returns its address there. */
  long upload(Stream stream, MemorySegment plan) {
    long bytes = Gpu.aligned(plan.byteSize());
    if (next + bytes > BYTES) {
      stream.synchronize();
      next = 0;
    }
    long room = Math.max(BYTES, bytes);
    MemorySegment source = here.of(room).asSlice(next, plan.byteSize()).copyFrom(plan);
    long target = there.of(room) + next;
    stream.upload(source, target);
    next += bytes;
    return target;
  }

  void free() {
    here.free();
    there.free();
  }
}
