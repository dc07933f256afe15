package org.sparkmoe.kernels.onednn;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * Products of int8 rows and int8 weights of one shape, N × K, with sums in int32. They are exact as
 * long as K · 127 · 128 stays below 2³¹, so no order of summation and no neighbour changes a bit.
 * Thread-safe; primitives are compiled when a size of block is first met.
 */
public final class Int8Product {
  /** Outputs of a panel, at most. */
  public static final int PANEL = 1024;

  /** The largest K whose sums fit into an int32. */
  public static final int MOST_COLS = Integer.MAX_VALUE / (127 * 128);

  private static final int ALIGNMENT = 64;
  private static final Cleaner CLEANER = Cleaner.create();
  private static final Map<Shape, WeakReference<Int8Product>> SHAPES = new ConcurrentHashMap<>();

  private final int cols;
  private final List<Panel> panels = new ArrayList<>();
  private final long bytes;

  private record Shape(int rows, int cols) {}

  /**
   * Outputs that are computed together.
   *
   * @param first of them
   * @param count of them
   * @param order descriptor of its weights, as oneDNN reads them
   * @param offset bytes before them
   * @param bySize primitives by {@link RowBlocks#index}
   */
  private record Panel(
      int first, int count, long order, long offset, AtomicReferenceArray<Primitive> bySize) {}

  private Int8Product(Shape shape) {
    this.cols = shape.cols();
    Handles handles = new Handles();
    long offset = 0;
    for (int first = 0; first < shape.rows(); first += PANEL) {
      int count = Math.min(PANEL, shape.rows() - first);
      long order = product(RowBlocks.MOST, count).preferredWeights(handles);
      panels.add(
          new Panel(first, count, order, offset, new AtomicReferenceArray<>(RowBlocks.indexes())));
      offset += Math.ceilDiv(Descriptors.bytes(order), ALIGNMENT) * ALIGNMENT;
    }
    bytes = offset;
    CLEANER.register(this, handles);
  }

  /**
   * The product of a shape; the same object while somebody holds it.
   *
   * @param rows N, at least 1
   * @param cols K, 1 to {@link #MOST_COLS}
   * @throws DnnlException where this CPU has no fast kernel for it
   */
  public static Int8Product of(int rows, int cols) {
    if (cols > MOST_COLS) {
      throw new IllegalArgumentException(
          "sums of %d products of int8 do not fit into int32, %d do".formatted(cols, MOST_COLS));
    }
    Int8Product[] found = new Int8Product[1];
    SHAPES.compute(
        new Shape(rows, cols),
        (shape, known) -> {
          found[0] = known == null ? null : known.get();
          if (found[0] == null) {
            found[0] = new Int8Product(shape);
            return new WeakReference<>(found[0]);
          }
          return known;
        });
    return found[0];
  }

  /** Bytes that packed weights take: theirs, what fills blocks up, and corrections of oneDNN. */
  public long bytes() {
    return bytes;
  }

  public int panels() {
    return panels.size();
  }

  /** First output of {@code panel}. */
  public int firstOutput(int panel) {
    return panels.get(panel).first();
  }

  /** Outputs of {@code panel}. */
  public int outputs(int panel) {
    return panels.get(panel).count();
  }

  /**
   * Brings weights into the order that oneDNN reads.
   *
   * @param codes N × K bytes, row-major
   * @param arena owns the copy
   */
  public MemorySegment pack(MemorySegment codes, Arena arena) {
    MemorySegment packed = arena.allocate(bytes, ALIGNMENT);
    try (Arena temporary = Arena.ofConfined()) {
      MemorySegment source =
          codes.isNative()
              ? codes
              : temporary.allocate(codes.byteSize(), ALIGNMENT).copyFrom(codes);
      try {
        for (Panel panel : panels) {
          Primitive.Call call = conversion(panel).take();
          call.set(0, source.address() + (long) panel.first() * cols);
          call.set(1, packed.address() + panel.offset());
          call.execute();
        }
      } finally {
        Reference.reachabilityFence(source);
        Reference.reachabilityFence(codes);
      }
    }
    return packed;
  }

  private Primitive conversion(Panel panel) {
    Handles handles = new Handles();
    // oneDNN's weights are K × N: a step along K is one value here, a step along N a whole row
    long from = Descriptors.strided(ElementType.S8, cols, panel.count(), 1, cols, handles);
    return Primitive.reorder(from, Descriptors.copy(panel.order(), handles), handles);
  }

  /**
   * Multiplies by one panel.
   *
   * @param rows a {@link RowBlocks#size}
   * @param src rows × K bytes
   * @param weights packed here
   * @param sums receives rows × outputs of the panel, int32 without gaps
   */
  public void run(
      int panel, int rows, MemorySegment src, MemorySegment weights, MemorySegment sums) {
    Panel part = panels.get(panel);
    Primitive.Call call = primitive(part, rows).take();
    try {
      call.set(MatmulDesc.SRC, src.address());
      call.set(MatmulDesc.WEIGHTS, weights.address() + part.offset());
      call.set(MatmulDesc.DST, sums.address());
      call.execute();
    } finally {
      Reference.reachabilityFence(src);
      Reference.reachabilityFence(weights);
      Reference.reachabilityFence(sums);
    }
  }

  private Primitive primitive(Panel panel, int rows) {
    int index = RowBlocks.index(rows);
    Primitive ready = panel.bySize().get(index);
    if (ready != null) {
      return ready;
    }
    synchronized (panel.bySize()) {
      ready = panel.bySize().get(index);
      if (ready == null) {
        ready = product(rows, panel.count()).compile(panel.order());
        panel.bySize().set(index, ready);
      }
      return ready;
    }
  }

  private MatmulDesc product(int rows, int outputs) {
    return new MatmulDesc(
        rows,
        cols,
        outputs,
        ElementType.S8,
        cols,
        ElementType.S8,
        ElementType.S32,
        outputs,
        false,
        false,
        List.of());
  }
}
