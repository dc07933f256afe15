package org.sparkmoe.udfs.experts;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.memory.PageArena;
import org.sparkmoe.kernels.tensor.DType;

/**
 * The vectors of a lane's batch; replaced when a larger batch comes. The outputs of experts are on
 * the heap, which users size; what native code reads lies outside.
 */
final class LaneBuffers implements AutoCloseable {
  private final MoeLayerSpec spec;
  private Arena arena = PageArena.ofShared();
  private int tokens;
  private int rows;
  private MemorySegment x = MemorySegment.NULL;
  private MemorySegment y = MemorySegment.NULL;
  private MemorySegment homeX = MemorySegment.NULL;
  private MemorySegment homeY = MemorySegment.NULL;

  /** Without memory until {@link #reserve}. */
  LaneBuffers(MoeLayerSpec spec) {
    this.spec = spec;
  }

  /** Makes room; what was there is lost where room was missing. */
  void reserve(int forTokens, int forRows) {
    if (forTokens <= tokens && forRows <= rows) {
      return;
    }
    arena.close();
    arena = PageArena.ofShared();
    tokens = Math.max(tokens, forTokens);
    rows = Math.max(rows, forRows);
    long vector = DType.F32.bytes(spec.hidden());
    x = arena.allocate(rows * vector, 64);
    y = MemorySegment.ofArray(new float[Math.multiplyExact(rows, spec.hidden())]);
    long homeBytes = spec.shared().isPresent() ? tokens * vector : 0;
    homeX = arena.allocate(homeBytes, 64);
    homeY = arena.allocate(homeBytes, 64);
  }

  /** Inputs, rows × H f32. */
  MemorySegment x() {
    return x;
  }

  /** What experts sum for them, rows × H f32. */
  MemorySegment y() {
    return y;
  }

  /** Inputs of the shared expert, home tokens × H f32; empty without one. */
  MemorySegment homeX() {
    return homeX;
  }

  /** Outputs of the shared expert, home tokens × H f32; empty without one. */
  MemorySegment homeY() {
    return homeY;
  }

  @Override
  public void close() {
    arena.close();
  }
}
