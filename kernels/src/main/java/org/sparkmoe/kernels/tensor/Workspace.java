package org.sparkmoe.kernels.tensor;

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
 * <p>It lives on the heap, because loops over a {@code float[]} compile to markedly faster code
 * than loops over a segment. What is taken holds whatever was there before. A call that throws does
 * not give back what it took; releasing a mark set before the call does.
 */
public final class Workspace {
  private final float[] floats;
  private final int limit;
  private int top;

  private Workspace(float[] floats, int top, int limit) {
    this.floats = floats;
    this.top = top;
    this.limit = limit;
  }

  /**
   * A workspace of at least {@code bytes} bytes.
   *
   * @throws IllegalArgumentException beyond 8 GiB, the largest Java array
   */
  public static Workspace ofBytes(long bytes) {
    long count = (bytes + Float.BYTES - 1) / Float.BYTES;
    if (bytes < 0 || count > Integer.MAX_VALUE - 8) {
      throw new IllegalArgumentException(
          "a workspace of %d bytes exceeds the limit of 8 GiB: hand over fewer rows per call"
              .formatted(bytes));
    }
    return new Workspace(new float[(int) count], 0, (int) count);
  }

  /** Bytes of {@code count} values. */
  public static long bytes(long count) {
    return count * Float.BYTES;
  }

  /** The array that {@link #take} hands out ranges of. */
  public float[] floats() {
    return floats;
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
   * Takes {@code count} values.
   *
   * @return index of the first in {@link #floats()}
   * @throws IllegalStateException where the workspace is too small
   */
  public int take(long count) {
    if (count > limit - top) {
      throw new IllegalStateException(
          "workspace of %d bytes is too small: %d are taken, %d more are needed; ask workspaceBytes"
              .formatted(bytes(limit), bytes(top), bytes(count)));
    }
    int from = top;
    top += (int) count;
    return from;
  }

  /**
   * Takes all that is left, as workspaces of equal size for as many threads: they are used until
   * this one gives back what it took.
   */
  public Workspace[] split(int parts) {
    int each = (limit - top) / parts;
    Workspace[] split = new Workspace[parts];
    for (int part = 0; part < parts; part++) {
      int from = take(each);
      split[part] = new Workspace(floats, from, top);
    }
    return split;
  }

  /** Takes {@code count} values, as a segment. */
  public MemorySegment segment(long count) {
    int from = take(count);
    return MemorySegment.ofArray(floats).asSlice(bytes(from), bytes(count));
  }
}
