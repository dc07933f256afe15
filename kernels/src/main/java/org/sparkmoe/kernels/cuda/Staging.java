package org.sparkmoe.kernels.cuda;

import java.lang.foreign.MemorySegment;

/**
 * The way between the GPU and memory that it does not reach by itself: arrays of the Java heap,
 * which the garbage collector moves, and memory that the system may page out. It passes through two
 * page-locked buffers, so that one is copied by the CPU while the other is on the bus. Memory from
 * {@link Gpu#pinned} does not pass through them.
 */
final class Staging {
  private static final long BYTES = 8L << 20;

  private final Gpu gpu;
  private final Half[] halves;
  private int next;

  /** A buffer, and the mark of its last copy. */
  private record Half(PinnedBuffer memory, Event copied) {}

  Staging(Gpu gpu, Owned owned) {
    this.gpu = gpu;
    this.halves = new Half[] {half(owned), half(owned)};
  }

  private Half half(Owned owned) {
    return new Half(new PinnedBuffer(gpu.driver()), Event.open(gpu.driver(), owned));
  }

  /** Copies to the GPU; {@code from} may be changed afterwards, unless it is page-locked itself. */
  void upload(Stream stream, MemorySegment from, long to) {
    if (gpu.isPinned(from)) {
      stream.upload(from, to);
      return;
    }
    for (long at = 0; at < from.byteSize(); at += BYTES) {
      Half half = halves[next++ & 1];
      long bytes = Math.min(BYTES, from.byteSize() - at);
      half.copied().await();
      MemorySegment part = half.memory().of(BYTES).asSlice(0, bytes);
      part.copyFrom(from.asSlice(at, bytes));
      stream.upload(part, to + at);
      half.copied().mark(stream);
    }
  }

  /** Copies from the GPU, and waits until all is there. */
  void download(Stream stream, long from, MemorySegment to) {
    if (gpu.isPinned(to)) {
      stream.download(from, to);
      stream.synchronize();
      return;
    }
    MemorySegment waiting = MemorySegment.NULL;
    for (long at = 0; at < to.byteSize(); at += BYTES) {
      Half half = halves[next & 1];
      MemorySegment target = to.asSlice(at, Math.min(BYTES, to.byteSize() - at));
      stream.download(from + at, half.memory().of(BYTES).asSlice(0, target.byteSize()));
      half.copied().mark(stream);
      fetch(halves[next + 1 & 1], waiting);
      waiting = target;
      next++;
    }
    fetch(halves[next + 1 & 1], waiting);
  }

  private static void fetch(Half half, MemorySegment to) {
    if (to.byteSize() > 0) {
      half.copied().await();
      to.copyFrom(half.memory().of(BYTES).asSlice(0, to.byteSize()));
    }
  }

  void free() {
    for (Half half : halves) {
      half.memory().free();
    }
  }
}
