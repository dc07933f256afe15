package org.sparkmoe.kernels.onednn;

import java.lang.foreign.MemorySegment;
import java.lang.ref.Cleaner;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.sparkmoe.kernels.tensor.DType;

/** The order in which a kernel of oneDNN reads a tile of weights, and how to bring one into it. */
final class WeightOrder {
  private static final Cleaner CLEANER = Cleaner.create();
  private static final int ARG_FROM = 1;
  private static final int ARG_TO = 17;

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

  /** What {@code product} prefers; the same order then serves every number of rows. */
  static WeightOrder preferred(MatmulDesc product) {
    Handles handles = new Handles();
    WeightOrder order =
        new WeightOrder(
            product.preferredWeights(handles),
            product.cols(),
            product.depth(),
            product.weightType());
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
    if (sourceType == type && type != DType.F32) {
      layout.copyShorts(source, from, stride, rows, cols, packed, to / type.bytes());
      return;
    }
    Primitive.Call call =
        conversions.computeIfAbsent(new Source(stride, sourceType), this::conversion).take();
    call.set(0, source.address() + sourceType.bytes(from));
    call.set(1, packed.address() + to);
    call.execute();
  }

  private Primitive conversion(Source source) {
    Dnnl dnnl = Library.dnnl();
    dnnl.useOneThread();
    Handles handles = new Handles();
    try (Handles temporary = new Handles()) {
      // oneDNN's weights are K × N: a step along K is one value here, a step along N a whole row
      long from =
          Descriptors.strided(
              source.type(), /* rows= */ cols, /* cols= */ rows, 1, source.stride(), handles);
      long to = Descriptors.copy(descriptor, handles);
      long desc =
          temporary.own(
              dnnl.create(
                  "dnnl_reorder_primitive_desc_create",
                  dnnl.bindings().reorderPrimitiveDescCreate(),
                  from,
                  dnnl.engine(),
                  to,
                  dnnl.engine(),
                  0L),
              "dnnl_primitive_desc_destroy",
              dnnl.bindings().primitiveDescDestroy());
      return new Primitive(desc, new int[] {ARG_FROM, ARG_TO}, new long[] {from, to}, handles);
    }
  }
}
