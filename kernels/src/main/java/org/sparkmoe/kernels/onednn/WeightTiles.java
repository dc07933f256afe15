package org.sparkmoe.kernels.onednn;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;

/**
 * How a weight matrix of N × K is cut into tiles, each in the order that oneDNN's kernels read.
 * Shared by all matrices of that shape and type, with the primitives that multiply by them.
 *
 * <p>A panel of outputs keeps what it adds up in the second-level cache. K is cut only where rows
 * are f32 and weights 16 bits wide: oneDNN up to 3.13 computes such products wrongly when K exceeds
 * its block of 512. Outputs past the last multiple of 16 make a panel of their own, in f32: without
 * AVX-512 oneDNN has no fast kernel for 16-bit tiles of other widths.
 */
public final class WeightTiles {
  private static final int PANEL = 1024;
  private static final int SLICE = 512;
  private static final int MIXED_WIDTH = 16;
  private static final int ALIGNMENT = 64;

  private static final Map<Key, WeakReference<WeightTiles>> SHAPES = new ConcurrentHashMap<>();

  private final Key key;
  private final List<Tile> tiles = new ArrayList<>();
  private final int panels;
  private final int slices;
  private final long bytes;
  private final Map<PlanKey, TilePlan> plans = new ConcurrentHashMap<>();
  private final Map<MatmulDesc, Primitive> primitives = new ConcurrentHashMap<>();

  /**
   * A shape.
   *
   * @param inputPanels first column of each panel of inputs, and K
   */
  private record Key(int rows, int cols, DType weights, DType compute, List<Integer> inputPanels) {}

  private record PlanKey(int dstStride, DType dst, boolean bias, List<PostOp> postOps) {}

  /**
   * One tile.
   *
   * @param row of its first output
   * @param rows outputs
   * @param col of its first input
   * @param cols inputs
   * @param inputPanel first input of the panel of inputs it lies in
   * @param inputPanelCols inputs of that panel
   * @param type of its weights in memory
   * @param order oneDNN's
   * @param offset bytes before it
   */
  record Tile(
      int row,
      int rows,
      int col,
      int cols,
      int inputPanel,
      int inputPanelCols,
      DType type,
      WeightOrder order,
      long offset) {}

  /** Part of K: a tile's columns. */
  private record Slice(int col, int cols, int inputPanel, int inputPanelCols) {}

  private WeightTiles(Key key) {
    this.key = key;
    List<Integer> rowCuts = rowCuts(key);
    List<Slice> cut = slices(key);
    panels = rowCuts.size() - 1;
    slices = cut.size();
    long offset = 0;
    for (int panel = 0; panel < panels; panel++) {
      int row = rowCuts.get(panel);
      int rows = rowCuts.get(panel + 1) - row;
      boolean narrow = rows < MIXED_WIDTH && key.compute() == DType.F32;
      DType type = narrow ? DType.F32 : stored(key);
      for (Slice slice : cut) {
        WeightOrder order = order(rows, slice, type);
        tiles.add(
            new Tile(
                row,
                rows,
                slice.col(),
                slice.cols(),
                slice.inputPanel(),
                slice.inputPanelCols(),
                type,
                order,
                offset));
        offset += (order.bytes() + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
      }
    }
    bytes = offset;
  }

  /**
   * The tiles of a shape; the same object while somebody holds it.
   *
   * @param rows N, output features, at least 1
   * @param cols K, input features, at least 1
   * @param weights type the weights are stored in
   * @param compute F32, or BF16 to round rows and weights to bf16 before they are multiplied
   * @throws DnnlException where this CPU has no fast kernel for it
   */
  public static WeightTiles of(int rows, int cols, DType weights, DType compute) {
    return of(new Key(rows, cols, weights, compute, List.of(0, cols)));
  }

  /**
   * As above, for inputs that lie in memory as the dense panels that {@code producer} computes: see
   * {@link TilePlan#DENSE}.
   */
  public static WeightTiles of(
      int rows, int cols, DType weights, DType compute, WeightTiles producer) {
    return of(new Key(rows, cols, weights, compute, rowCuts(producer.key)));
  }

  private static WeightTiles of(Key key) {
    WeightTiles[] found = new WeightTiles[1];
    SHAPES.compute(
        key,
        (k, known) -> {
          found[0] = known == null ? null : known.get();
          if (found[0] == null) {
            found[0] = new WeightTiles(k);
            return new WeakReference<>(found[0]);
          }
          return known;
        });
    return found[0];
  }

  /** Bytes that a packed matrix takes. */
  public long bytes() {
    return bytes;
  }

  /** Outputs of one panel, at most. */
  public static int panelWidth() {
    return PANEL;
  }

  /**
   * Packs a matrix of this shape.
   *
   * @param arena owns the copy
   */
  public MemorySegment pack(Matrix weight, Arena arena) {
    MemorySegment packed = arena.allocate(bytes, ALIGNMENT);
    try (Arena temporary = Arena.ofConfined()) {
      MemorySegment source =
          weight.data().isNative()
              ? weight.data()
              : temporary.allocate(weight.bytes(), ALIGNMENT).copyFrom(weight.data());
      packTiles(source, packed);
    }
    return packed;
  }

  private void packTiles(MemorySegment source, MemorySegment packed) {
    try {
      for (Tile tile : tiles) {
        long first = (long) tile.row() * key.cols() + tile.col();
        tile.order().pack(source, first, key.cols(), key.weights(), packed, tile.offset());
      }
    } finally {
      Reference.reachabilityFence(source);
    }
  }

  /**
   * How to multiply by matrices of this shape.
   *
   * @param dstStride values from one row of the result to the next, or {@link TilePlan#DENSE}
   * @param dst type of the result
   * @param bias whether a bias is added
   * @param postOps what happens to finished sums
   */
  public TilePlan plan(int dstStride, DType dst, boolean bias, List<PostOp> postOps) {
    return plans.computeIfAbsent(
        new PlanKey(dstStride, dst, bias, List.copyOf(postOps)),
        k -> new TilePlan(this, k.dstStride(), k.dst(), k.bias(), k.postOps()));
  }

  /**
   * The product of one tile. All plans of this shape share it: a primitive takes about 270 KiB
   * outside the heap, and gate and up projection differ in their last slices of K alone.
   */
  Primitive primitive(MatmulDesc product, Tile tile) {
    return primitives.computeIfAbsent(product, p -> p.compile(tile.order().descriptor()));
  }

  int panels() {
    return panels;
  }

  int slices() {
    return slices;
  }

  DType compute() {
    return key.compute();
  }

  Tile tile(int panel, int slice) {
    return tiles.get(panel * slices + slice);
  }

  private static boolean splitsDepth(Key key) {
    return key.compute() == DType.F32 && key.weights() != DType.F32;
  }

  /** What weights are held in: their own type, unless another is multiplied. */
  private static DType stored(Key key) {
    return key.compute() == DType.F32 ? key.weights() : key.compute();
  }

  private static List<Integer> rowCuts(Key key) {
    int wide = stored(key) == DType.F32 ? key.rows() : key.rows() / MIXED_WIDTH * MIXED_WIDTH;
    List<Integer> cuts = new ArrayList<>(cuts(wide, PANEL, ALIGNMENT));
    if (wide < key.rows()) {
      cuts.add(key.rows());
    }
    return cuts;
  }

  /** Cuts {@code length} into the fewest parts of at most {@code most}, about equal. */
  private static List<Integer> cuts(int length, int most, int multiple) {
    List<Integer> cuts = new ArrayList<>(List.of(0));
    if (length == 0) {
      return cuts;
    }
    int parts = (length + most - 1) / most;
    int part = (length + parts - 1) / parts;
    part = Math.min(most, (part + multiple - 1) / multiple * multiple);
    for (int end = part; end < length; end += part) {
      cuts.add(end);
    }
    cuts.add(length);
    return cuts;
  }

  private static List<Slice> slices(Key key) {
    List<Slice> slices = new ArrayList<>();
    List<Integer> panels = key.inputPanels();
    for (int p = 0; p + 1 < panels.size(); p++) {
      int first = panels.get(p);
      int width = panels.get(p + 1) - first;
      List<Integer> cuts = cuts(width, splitsDepth(key) ? SLICE : width, ALIGNMENT / 2);
      for (int i = 0; i + 1 < cuts.size(); i++) {
        slices.add(new Slice(first + cuts.get(i), cuts.get(i + 1) - cuts.get(i), first, width));
      }
    }
    return slices;
  }

  /** Tiles of equal size share their order, which holds compiled conversions. */
  private WeightOrder order(int rows, Slice slice, DType type) {
    for (Tile tile : tiles) {
      if (tile.rows() == rows && tile.cols() == slice.cols() && tile.type() == type) {
        return tile.order();
      }
    }
    return WeightOrder.preferred(
        new MatmulDesc(
            RowBlocks.MOST,
            slice.cols(),
            rows,
            ElementType.of(key.compute()),
            slice.inputPanelCols(),
            ElementType.of(type),
            ElementType.F32,
            rows,
            false,
            slice.cols() < key.cols(),
            List.of()),
        type);
  }
}
