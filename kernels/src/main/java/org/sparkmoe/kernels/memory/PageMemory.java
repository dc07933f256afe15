package org.sparkmoe.kernels.memory;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/**
 * Pages straight from the operating system, on 64-bit Linux. Beside what {@link Arena#allocate}
 * does, which takes from the C library's heap: freed memory goes back to the system at once instead
 * of staying with the process, and what is large lies in huge pages, which are much cheaper to
 * touch for the first time and to stream through.
 */
@SuppressWarnings("restricted") // three calls with constant flags; their results are checked
final class PageMemory {
  private static final Optional<PageMemory> SYSTEM = bind();

  private static final int READ_WRITE = 0x1 | 0x2;
  private static final int PRIVATE_ANONYMOUS = 0x2 | 0x20;
  private static final int HUGE_PAGES = 14;
  private static final long FAILED = -1;

  /** Of what {@link #allocate} hands out, at least: that of the smallest pages. */
  static final long ALIGNMENT = 4096;

  /** Of a huge page: the size where pages have 4 KiB, and a part of it elsewhere. */
  private static final long HUGE = 2L << 20;

  private final MethodHandle mmap;
  private final MethodHandle munmap;
  private final MethodHandle madvise;

  private PageMemory(MethodHandle mmap, MethodHandle munmap, MethodHandle madvise) {
    this.mmap = mmap;
    this.munmap = munmap;
    this.madvise = madvise;
  }

  /** Memory of this kind, empty where the system or the JVM's options do not offer it. */
  static Optional<PageMemory> ofSystem() {
    return SYSTEM;
  }

  /**
   * Zeroed memory that lives as long as {@code arena}.
   *
   * @throws OutOfMemoryError where the system refuses
   */
  MemorySegment allocate(long bytes, Arena arena) {
    long room = bytes < HUGE ? bytes : bytes + HUGE;
    long start = map(room);
    MemorySegment mapped =
        MemorySegment.ofAddress(start).reinterpret(room, arena, all -> unmap(all.address(), room));
    if (bytes < HUGE) {
      return mapped;
    }
    long first = Math.ceilDiv(start, HUGE) * HUGE;
    // Whole pages only: one at the end would take memory that nobody asked for.
    advise(first, bytes / HUGE * HUGE);
    return mapped.asSlice(first - start, bytes);
  }

  private long map(long bytes) {
    try {
      long start =
          (long) mmap.invokeExact(MemorySegment.NULL, bytes, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0L);
      if (start == FAILED) {
        throw new OutOfMemoryError("the system has no %d bytes".formatted(bytes));
      }
      return start;
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError("mmap throws nothing", e);
    }
  }

  private void unmap(long start, long bytes) {
    try {
      int result = (int) munmap.invokeExact(start, bytes);
      if (result != 0) {
        throw new IllegalStateException("munmap of %d bytes failed".formatted(bytes));
      }
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError("munmap throws nothing", e);
    }
  }

  /** Only a wish: where huge pages are switched off, small ones serve. */
  private void advise(long start, long bytes) {
    try {
      int ignored = (int) madvise.invokeExact(start, bytes, HUGE_PAGES);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError("madvise throws nothing", e);
    }
  }

  private static Optional<PageMemory> bind() {
    boolean linux = System.getProperty("os.name").equals("Linux") && ADDRESS.byteSize() == 8;
    if (!linux || !PageMemory.class.getModule().isNativeAccessEnabled()) {
      return Optional.empty();
    }
    return Optional.of(
        new PageMemory(
            function(
                "mmap",
                FunctionDescriptor.of(
                    JAVA_LONG, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG)),
            function("munmap", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG)),
            function("madvise", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT))));
  }

  private static MethodHandle function(String name, FunctionDescriptor type) {
    Linker linker = Linker.nativeLinker();
    return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), type);
  }
}
