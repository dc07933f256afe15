package org.sparkmoe.job.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicLong;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * How fast memory can be read: a sum over a gibibyte by all threads, as STREAM would read it.
 * Measured in turn with what is compared to it, because the bandwidth of a shared machine comes and
 * goes.
 */
final class Bandwidth implements AutoCloseable {
  private static final long BYTES = 1L << 30;
  private static final int PAGE = 4096;
  private static final int WARM_UP = 4;
  private static final VectorSpecies<Long> LONGS = LongVector.SPECIES_PREFERRED;

  private final Arena arena = Arena.ofShared();
  private final MemorySegment data = arena.allocate(BYTES, 64);
  private final AtomicLong sums = new AtomicLong();
  private final Workers workers;
  private final long slice;

  Bandwidth(int threads) {
    workers = new Workers(threads);
    slice = BYTES / threads / PAGE * PAGE;
    data.fill((byte) 1);
    // Vector code crawls until it is compiled.
    for (int i = 0; i < WARM_UP; i++) {
      run();
    }
  }

  /** Reads everything once. */
  void run() {
    workers.run(worker -> sums.addAndGet(sum(data.asSlice(worker * slice, slice))));
    if (sums.get() == 0) {
      throw new AssertionError("ones sum to something");
    }
  }

  /** Bytes per second of a {@link #run} that took {@code time}. */
  double rate(Timing time) {
    return slice * workers.size() / time.median();
  }

  @Override
  public void close() {
    workers.close();
    arena.close();
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
