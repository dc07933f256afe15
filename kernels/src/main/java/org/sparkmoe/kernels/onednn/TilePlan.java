package org.sparkmoe.kernels.onednn;

import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.util.List;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Products with matrices of one shape: {@code dst = postOps(src · Wᵀ + bias)}. Slices of K are
 * added up in dst, in order; bias and post-ops come with the last. Thread-safe; primitives are
 * compiled when a size of block is first met.
 */
public final class TilePlan {
  /** A stride: each panel of the result is a matrix of its own, its rows without gaps. */
  public static final int DENSE = 0;

  private final WeightTiles tiles;
  private final int dstStride;
  private final DType dstType;
  private final boolean bias;
  private final List<PostOp> postOps;
  private final boolean gated;
  private final AtomicReferenceArray<Primitive[]> bySize =
      new AtomicReferenceArray<>(RowBlocks.indexes());

  TilePlan(WeightTiles tiles, int dstStride, DType dstType, boolean bias, List<PostOp> postOps) {
    this.tiles = tiles;
    this.dstStride = dstStride;
    this.dstType = dstType;
    this.bias = bias;
    this.postOps = postOps;
    this.gated = postOps.contains(PostOp.of(PostOp.Kind.TIMES_GATE));
  }

  /** Panels of outputs. */
  public int panels() {
    return tiles.panels();
  }

  /** First output of {@code panel}; that of the panel past the last is N. */
  public int firstOutput(int panel) {
    if (panel == panels()) {
      WeightTiles.Tile last = tiles.tile(panel - 1, 0);
      return last.row() + last.rows();
    }
    return tiles.tile(panel, 0).row();
  }

  /**
   * Computes all panels of a plan that is not dense.
   *
   * @param rows a {@link RowBlocks#size}
   * @param src address of rows × K of the compute type
   * @param weights a packed matrix
   * @param bias address of N values, where the plan has a bias
   * @param dst address of rows × dstStride
   */
  public void run(int rows, long src, MemorySegment weights, long bias, long dst) {
    for (int panel = 0; panel < panels(); panel++) {
      int from = firstOutput(panel);
      runPanel(
          panel, rows, src, weights, bias + DType.F32.bytes(from), 0, dst + dstType.bytes(from));
    }
  }

  /**
   * Computes one panel; bias and dst are the addresses of its first output.
   *
   * @param gate address of the gate's panel, rows × outputs of the panel f32 without gaps, where a
   *     post-op reads it
   */
  public void runPanel(
      int panel, int rows, long src, MemorySegment weights, long biasFrom, long gate, long dst) {
    if (!weights.scope().isAlive()) {
      throw new IllegalStateException("the weights are closed already");
    }
    Primitive[] primitives = primitives(rows);
    int slices = tiles.slices();
    try {
      for (int slice = 0; slice < slices; slice++) {
        WeightTiles.Tile tile = tiles.tile(panel, slice);
        Primitive.Call call = primitives[panel * slices + slice].take();
        call.set(MatmulDesc.SRC, src + tiles.compute().bytes(input(tile, rows)));
        call.set(MatmulDesc.WEIGHTS, weights.address() + tile.offset());
        call.set(MatmulDesc.DST, dst);
        if (slice == slices - 1) {
          setOptional(call, biasFrom, gate);
        }
        call.execute();
      }
    } finally {
      Reference.reachabilityFence(weights);
    }
  }

  /** Values before the tile's first input of the first row. */
  private static long input(WeightTiles.Tile tile, int rows) {
    return (long) rows * tile.inputPanel() + tile.col() - tile.inputPanel();
  }

  private void setOptional(Primitive.Call call, long biasFrom, long gate) {
    int next = MatmulDesc.FIRST_OPTIONAL;
    if (bias) {
      call.set(next++, biasFrom);
    }
    if (gated) {
      call.set(next, gate);
    }
  }

  private Primitive[] primitives(int rows) {
    int index = RowBlocks.index(rows);
    Primitive[] ready = bySize.get(index);
    return ready != null ? ready : compile(rows, index);
  }

  private Primitive[] compile(int rows, int index) {
    synchronized (bySize) {
      Primitive[] ready = bySize.get(index);
      if (ready == null) {
        ready = new Primitive[tiles.panels() * tiles.slices()];
        for (int i = 0; i < ready.length; i++) {
          ready[i] = tiles.primitive(product(rows, i), tile(i));
        }
        bySize.set(index, ready);
      }
      return ready;
    }
  }

  private WeightTiles.Tile tile(int i) {
    return tiles.tile(i / tiles.slices(), i % tiles.slices());
  }

  private MatmulDesc product(int rows, int i) {
    int slice = i % tiles.slices();
    boolean last = slice == tiles.slices() - 1;
    WeightTiles.Tile tile = tile(i);
    return new MatmulDesc(
        rows,
        tile.cols(),
        tile.rows(),
        ElementType.of(tiles.compute()),
        tile.inputPanelCols(),
        ElementType.of(tile.type()),
        ElementType.of(dstType),
        dstStride == DENSE ? tile.rows() : dstStride,
        last && bias,
        slice > 0,
        last ? postOps : List.of());
  }
}
