package org.sparkmoe.kernels.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Scratch memory of one task: a stack of f32 values that kernels take from and give back. One
 * thread at a time. Kernels say beforehand how many bytes they need, so that nothing is allocated
 * while they compute.
 *
 * <pre>
 *   int mark = ws.mark();
 *   MemorySegment rows = ws.segment((long) n * hidden);
 *   …
 *   ws.release(mark);
 * </pre>
 *
 * <p>It lives on the heap for kernels written in Java, because loops over a {@code float[]} compile
 * to markedly faster code than loops over a segment; or outside for native ones, which have only
 * segments. What is taken holds whatever was there before. A call that throws does not give back
 * what it took; releasing a mark set before the call does.
 *
 * <p>Beside the stack there is one array, for the many rows that are only collected: {@link
 * #collected}.
 */
public final class Workspace {
  private static final int CACHE_LINE = 64;
  private static final float[] NONE = {};

  private final float[] floatsOrNull;
  private final MemorySegment memory;
  private final int limit;
  private int top;
  private float[] collected = NONE;

  private Workspace(float[] floatsOrNull, MemorySegment memory, int top, int limit) {
    this.floatsOrNull = floatsOrNull;
    this.memory = memory;
    this.top = top;
    this.limit = limit;
  }

  /**
   * A workspace of at least {@code bytes} bytes.
   *
   * @throws IllegalArgumentException beyond 8 GiB
   */
  public static Workspace ofBytes(long bytes) {
    int count = count(bytes);
    float[] floats = new float[count];
    return new Workspace(floats, MemorySegment.ofArray(floats), 0, count);
  }

  /**
   * A workspace of at least {@code bytes} bytes of native memory. It has segments only: {@link
   * #floats} and {@link #take} throw.
   *
   * @param arena owns the memory
   * @throws IllegalArgumentException beyond 8 GiB
   */
  public static Workspace offHeap(long bytes, Arena arena) {
    int count = count(bytes);
    return new Workspace(null, arena.allocate(bytes(count), CACHE_LINE), 0, count);
  }

  /** Values in {@code bytes} bytes, rounded up. */
  private static int count(long bytes) {
    long count = (bytes + Float.BYTES - 1) / Float.BYTES;
    if (bytes < 0 || count > Integer.MAX_VALUE - 8) {
      throw new IllegalArgumentException(
          "a workspace of %d bytes exceeds the limit of 8 GiB: hand over fewer rows per call"
              .formatted(bytes));
    }
    return (int) count;
  }

  /** Bytes of {@code count} values. */
  public static long bytes(long count) {
    return count * Float.BYTES;
  }

  /**
   * The array that {@link #take} hands out ranges of.
   *
   * @throws IllegalStateException off the heap
   */
  public float[] floats() {
    if (floatsOrNull == null) {
      throw new IllegalStateException(
          "this workspace is native memory; a kernel that computes in arrays makes its own, with"
              + " ExpertKernel.workspace");
    }
    return floatsOrNull;
  }

  /** The current height of the stack, for {@link #release}. */
  public int mark() {
    return top;
  }

  /** Gives back everything taken since {@code mark}. */
  public void release(int mark) {
    top = mark;
  }

  /**
   * Takes {@code count} values on the heap.
   *
   * @return index of the first in {@link #floats()}
   * @throws IllegalStateException where the workspace is too small, or off the heap
   */
  public int take(long count) {
    floats();
    return reserve(count);
  }

  /**
   * Takes {@code count} values, as a segment.
   *
   * @throws IllegalStateException where the workspace is too small
   */
  public MemorySegment segment(long count) {
    return memory.asSlice(bytes(reserve(count)), bytes(count));
  }

  /**
   * Takes {@code count} values of native memory.
   *
   * @throws IllegalStateException where the workspace is too small, or on the heap
   */
  public MemorySegment nativeSegment(long count) {
    if (floatsOrNull != null) {
      throw new IllegalStateException(
          "this workspace is on the heap; a native kernel makes its own, with"
              + " ExpertKernel.workspace");
    }
    return segment(count);
  }

  /**
   * Room for {@code count} values that only Java code reads and writes, with what was there before.
   * It is on the heap, which users size, also where the stack is not: memory beside the heap is
   * what clusters grant least of. No part of the stack, so nobody asks for it beforehand; it grows
   * to the most that was ever wanted. The next call hands out the same memory.
   *
   * @throws IllegalArgumentException beyond 8 GiB
   */
  public MemorySegment collected(long count) {
    if (count > collected.length) {
      // The old one goes first: the heap need not hold both.
      collected = NONE;
      collected = new float[count(bytes(count))];
    }
    return MemorySegment.ofArray(collected).asSlice(0, bytes(count));
  }

  /**
   * Takes all that is left, as workspaces of equal size for as many threads: they are used until
   * this one gives back what it took.
   */
  public Workspace[] split(int parts) {
    int each = (limit - top) / parts;
    Workspace[] split = new Workspace[parts];
    for (int part = 0; part < parts; part++) {
      int from = reserve(each);
      split[part] = new Workspace(floatsOrNull, memory, from, top);
    }
    return split;
  }

  private int reserve(long count) {
    if (count > limit - top) {
      throw new IllegalStateException(
          "workspace of %d bytes is too small: %d are taken, %d more are needed; ask workspaceBytes"
              .formatted(bytes(limit), bytes(top), bytes(count)));
    }
    int from = top;
    top += (int) count;
    return from;
  }
}
