package org.sparkmoe.kernels.quant;

import java.io.Serializable;
import java.lang.foreign.MemorySegment;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicInteger;
import org.sparkmoe.kernels.tensor.DType;

/**
 * The largest finite magnitude among the values that it was shown. Their order does not matter, nor
 * does showing values again. Thread-safe.
 *
 * <p>A copy that was sent elsewhere measures there, from what was measured when it was sent; it
 * equals its original, and no other meter.
 */
public final class PeakMeter implements Serializable {
  private static final long serialVersionUID = 1;

  private static final int MAGNITUDE = 0x7FFF_FFFF;
  private static final int INFINITY = 0x7F80_0000;
  private static final int CHUNK = 1024;

  private final UUID id = UUID.randomUUID();

  /** Bits of magnitudes are ordered as their values are. */
  private final AtomicInteger bits = new AtomicInteger();

  /** Shows it a segment of f32 values. Those that are not finite pass. */
  public void see(MemorySegment values) {
    int[] chunk = new int[CHUNK];
    long count = values.byteSize() / Integer.BYTES;
    int largest = 0;
    for (long from = 0; from < count; from += CHUNK) {
      int size = (int) Math.min(CHUNK, count - from);
      MemorySegment.copy(values, DType.LE_INT, from * Integer.BYTES, chunk, 0, size);
      largest = Math.max(largest, largest(chunk, size));
    }
    if (largest > bits.get()) {
      bits.accumulateAndGet(largest, Math::max);
    }
  }

  private static int largest(int[] values, int size) {
    int largest = 0;
    for (int i = 0; i < size; i++) {
      largest = Math.max(largest, values[i] & MAGNITUDE);
    }
    return largest < INFINITY ? largest : largestFinite(values, size);
  }

  private static int largestFinite(int[] values, int size) {
    int largest = 0;
    for (int i = 0; i < size; i++) {
      int magnitude = values[i] & MAGNITUDE;
      largest = magnitude < INFINITY ? Math.max(largest, magnitude) : largest;
    }
    return largest;
  }

  /** The largest so far; 0 of none. */
  public float peak() {
    return Float.intBitsToFloat(bits.get());
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof PeakMeter that && id.equals(that.id);
  }

  @Override
  public int hashCode() {
    return id.hashCode();
  }
}
