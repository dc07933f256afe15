package org.sparkmoe.kernels.onednn;

import java.lang.foreign.MemorySegment;
import java.lang.ref.Cleaner;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.sparkmoe.kernels.tensor.DType;

/** The order in which a kernel of oneDNN reads a tile of weights, and how to bring one into it. */
final class WeightOrder {
  private static final Cleaner CLEANER = Cleaner.create();

  private final long descriptor;
  private final int rows;
  private final int cols;
  private final DType type;
  private final BlockedLayout layout;
  private final Map<Source, Primitive> conversions = new ConcurrentHashMap<>();

  private record Source(int stride, DType type) {}

  private WeightOrder(long descriptor, int rows, int cols, DType type) {
    this.descriptor = descriptor;
    this.rows = rows;
    this.cols = cols;
    this.type = type;
    this.layout = BlockedLayout.of(descriptor);
  }

  /** What {@code product}, by weights of {@code type}, prefers; it serves every number of rows. */
  static WeightOrder preferred(MatmulDesc product, DType type) {
    Handles handles = new Handles();
    WeightOrder order =
        new WeightOrder(product.preferredWeights(handles), product.cols(), product.depth(), type);
    CLEANER.register(order, handles);
    return order;
  }

  long descriptor() {
    return descriptor;
  }

  long bytes() {
    return Descriptors.bytes(descriptor);
  }

  /**
   * Brings a tile into this order, rounding to its type.
   *
   * @param source row-major, in native memory
   * @param from index of the tile's first value
   * @param stride values from one output to the next
   * @param sourceType of the source
   * @param packed zeroed
   * @param to byte to write to
   */
  void pack(
      MemorySegment source,
      long from,
      int stride,
      DType sourceType,
      MemorySegment packed,
      long to) {
    if (type != DType.F32) {
      long first = to / type.bytes();
      layout.pack(source, sourceType, from, stride, rows, cols, packed, type, first);
      return;
    }
    Primitive.Call call =
        conversions.computeIfAbsent(new Source(stride, sourceType), this::conversion).take();
    call.set(0, source.address() + sourceType.bytes(from));
    call.set(1, packed.address() + to);
    call.execute();
  }

  private Primitive conversion(Source source) {
    Handles handles = new Handles();
    // oneDNN's weights are K × N: a step along K is one value here, a step along N a whole row
    long from =
        Descriptors.strided(
            ElementType.of(source.type()),
            /* rows= */ cols,
            /* cols= */ rows,
            1,
            source.stride(),
            handles);
    return Primitive.reorder(from, Descriptors.copy(descriptor, handles), handles);
  }
}
