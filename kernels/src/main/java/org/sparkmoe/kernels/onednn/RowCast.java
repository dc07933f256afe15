package org.sparkmoe.kernels.onednn;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReferenceArray;

/** Rounds blocks of f32 rows to bf16, nearest even. Thread-safe. */
public final class RowCast {
  private static final Map<Integer, RowCast> BY_COLS = new ConcurrentHashMap<>();

  private final int cols;
  private final AtomicReferenceArray<Primitive> bySize =
      new AtomicReferenceArray<>(RowBlocks.indexes());

  private RowCast(int cols) {
    this.cols = cols;
  }

  /** For rows of {@code cols} values. */
  public static RowCast of(int cols) {
    return BY_COLS.computeIfAbsent(cols, RowCast::new);
  }

  /**
   * Rounds a block.
   *
   * @param rows a {@link RowBlocks#size}
   * @param src address of rows × cols f32
   * @param dst address of rows × cols bf16
   */
  public void run(int rows, long src, long dst) {
    int index = RowBlocks.index(rows);
    Primitive primitive = bySize.get(index);
    if (primitive == null) {
      primitive = compile(rows);
      bySize.set(index, primitive);
    }
    Primitive.Call call = primitive.take();
    call.set(0, src);
    call.set(1, dst);
    call.execute();
  }

  private Primitive compile(int rows) {
    Handles handles = new Handles();
    long from = Descriptors.strided(ElementType.F32, rows, cols, cols, 1, handles);
    long to = Descriptors.strided(ElementType.BF16, rows, cols, cols, 1, handles);
    return Primitive.reorder(from, to, handles);
  }
}
