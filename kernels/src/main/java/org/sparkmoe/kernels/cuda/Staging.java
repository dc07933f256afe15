package org.sparkmoe.kernels.cuda;

import java.lang.foreign.MemorySegment;

/**
 * Page-locked memory that arrays of the Java heap pass through on their way to the GPU and back:
 * the garbage collector moves them, and the GPU reads no pageable memory by itself. Native memory
 * does not pass through it.
 */
final class Staging {
  private static final long BYTES = 16L << 20;

  private final PinnedBuffer memory;

  Staging(Driver driver) {
    this.memory = new PinnedBuffer(driver);
  }

  void upload(Stream stream, MemorySegment from, long to) {
    if (from.isNative()) {
      stream.upload(from, to);
      return;
    }
    for (long at = 0; at < from.byteSize(); at += BYTES) {
      MemorySegment part = memory().asSlice(0, Math.min(BYTES, from.byteSize() - at));
      // The part before has left.
      stream.synchronize();
      part.copyFrom(from.asSlice(at, part.byteSize()));
      stream.upload(part, to + at);
    }
    stream.synchronize();
  }

  void download(Stream stream, long from, MemorySegment to) {
    if (to.isNative()) {
      stream.download(from, to);
      stream.synchronize();
      return;
    }
    for (long at = 0; at < to.byteSize(); at += BYTES) {
      MemorySegment part = memory().asSlice(0, Math.min(BYTES, to.byteSize() - at));
      stream.download(from + at, part);
      stream.synchronize();
      to.asSlice(at, part.byteSize()).copyFrom(part);
    }
  }

  private MemorySegment memory() {
    return memory.of(BYTES);
  }

  void free() {
    memory.free();
  }
}
