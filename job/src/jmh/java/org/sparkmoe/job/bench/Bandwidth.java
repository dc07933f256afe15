package org.sparkmoe.job.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** How fast memory can be read: a sum over a gibibyte, as STREAM would read it. */
final class Bandwidth {
  private static final long BYTES = 1L << 30;
  private static final VectorSpecies<Long> LONGS = LongVector.SPECIES_PREFERRED;

  private Bandwidth() {}

  /** Bytes per second that {@code threads} threads read together. */
  static double read(int threads, double seconds) {
    try (Arena arena = Arena.ofShared();
        Workers workers = new Workers(threads)) {
      MemorySegment data = arena.allocate(BYTES, 64);
      data.fill((byte) 1);
      long slice = BYTES / threads / 4096 * 4096;
      AtomicLong sums = new AtomicLong();
      Runnable read =
          () -> workers.run(worker -> sums.addAndGet(sum(data.asSlice(worker * slice, slice))));
      Timing timing = Rounds.of(List.of(read), seconds).getFirst();
      if (sums.get() == 0) {
        throw new AssertionError("ones sum to something");
      }
      return slice * threads / timing.median();
    }
  }

  /** Four sums, so that no addition waits for the one before it. */
  private static long sum(MemorySegment data) {
    LongVector a = LongVector.zero(LONGS);
    LongVector b = a;
    LongVector c = a;
    LongVector d = a;
    long step = LONGS.vectorByteSize();
    long end = data.byteSize() - 4 * step;
    ByteOrder order = ByteOrder.nativeOrder();
    for (long at = 0; at <= end; at += 4 * step) {
      a = a.add(LongVector.fromMemorySegment(LONGS, data, at, order));
      b = b.add(LongVector.fromMemorySegment(LONGS, data, at + step, order));
      c = c.add(LongVector.fromMemorySegment(LONGS, data, at + 2 * step, order));
      d = d.add(LongVector.fromMemorySegment(LONGS, data, at + 3 * step, order));
    }
    return a.add(b).add(c.add(d)).reduceLanes(VectorOperators.ADD)
        + data.get(ValueLayout.JAVA_LONG_UNALIGNED, data.byteSize() - Long.BYTES);
  }
}
