package org.sparkmoe.kernels.onednn;

import java.lang.ref.WeakReference;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Products with strips of weights that are made while computing: K of a slice × {@value #WIDTH}
 * outputs. Slices are added up in a result of rows × {@value #WIDTH} f32; bias and post-ops come
 * with the last. Thread-safe; primitives are compiled when a size of block is first met.
 */
public final class StripPlan {
  /** Outputs of a strip. */
  public static final int WIDTH = 64;

  /** Inputs of a strip, at most: 256 KiB of f32. */
  public static final int DEPTH = 1024;

  private static final Map<Key, WeakReference<StripPlan>> PLANS = new ConcurrentHashMap<>();

  private final Key key;
  private final boolean gated;
  private final AtomicReferenceArray<PairedOrder> paired;
  private final AtomicReferenceArray<Primitive[]> bySize =
      new AtomicReferenceArray<>(RowBlocks.indexes());

  private record Key(int cols, DType compute, boolean bias, List<PostOp> postOps) {}

  private StripPlan(Key key) {
    this.key = key;
    this.paired = new AtomicReferenceArray<>(slices());
    this.gated = key.postOps().contains(PostOp.of(PostOp.Kind.TIMES_GATE));
  }

  /**
   * The plan of a shape; the same object while somebody holds it.
   *
   * @param cols K, at least 1
   * @param compute type of rows and strips: F32 row-major, or BF16 in pairs of inputs
   * @param bias whether a bias is added
   * @param postOps what happens to finished sums
   */
  public static StripPlan of(int cols, DType compute, boolean bias, List<PostOp> postOps) {
    StripPlan[] found = new StripPlan[1];
    PLANS.compute(
        new Key(cols, compute, bias, List.copyOf(postOps)),
        (key, known) -> {
          found[0] = known == null ? null : known.get();
          if (found[0] == null) {
            found[0] = new StripPlan(key);
            return new WeakReference<>(found[0]);
          }
          return known;
        });
    return found[0];
  }

  /** Slices of K. */
  public int slices() {
    return Math.ceilDiv(key.cols(), DEPTH);
  }

  /** First input of {@code slice}. */
  public int first(int slice) {
    return slice * DEPTH;
  }

  /** Inputs of {@code slice}. */
  public int depth(int slice) {
    return Math.min(DEPTH, key.cols() - first(slice));
  }

  /**
   * How the weights of a slice are to stand, where they are bf16; one order for blocks of rows of
   * any size.
   *
   * @throws DnnlException where oneDNN wants no pairs of inputs
   */
  public PairedOrder paired(int slice) {
    PairedOrder known = paired.get(slice);
    if (known == null) {
      try (Handles temporary = new Handles()) {
        long preferred = product(RowBlocks.MOST, slice).preferredWeights(temporary);
        known =
            BlockedLayout.of(preferred)
                .paired()
                .filter(order -> WIDTH % order.width() == 0)
                .orElseThrow(
                    () ->
                        new DnnlException(
                            "oneDNN has another order for %d x %d bf16 weights than pairs; use onednn"
                                .formatted(WIDTH, depth(slice))));
      }
      paired.set(slice, known);
    }
    return known;
  }

  /**
   * Multiplies by one slice.
   *
   * @param rows a {@link RowBlocks#size}
   * @param src address of rows × K
   * @param strip address of the slice's weights
   * @param bias address of as many values as a strip has outputs, where the plan has a bias
   * @param gate address of rows × {@value #WIDTH} f32, where a post-op reads it
   * @param dst address of rows × {@value #WIDTH} f32
   */
  public void run(int slice, int rows, long src, long strip, long bias, long gate, long dst) {
    Primitive.Call call = primitives(rows)[slice].take();
    call.set(MatmulDesc.SRC, src + key.compute().bytes(first(slice)));
    call.set(MatmulDesc.WEIGHTS, strip);
    call.set(MatmulDesc.DST, dst);
    if (slice == slices() - 1) {
      int next = MatmulDesc.FIRST_OPTIONAL;
      if (key.bias()) {
        call.set(next++, bias);
      }
      if (gated) {
        call.set(next, gate);
      }
    }
    call.execute();
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
        ready = new Primitive[slices()];
        for (int slice = 0; slice < ready.length; slice++) {
          boolean middle = slice > 1 && slice < ready.length - 1;
          ready[slice] = middle ? ready[slice - 1] : compileSlice(rows, slice);
        }
        bySize.set(index, ready);
      }
      return ready;
    }
  }

  private Primitive compileSlice(int rows, int slice) {
    MatmulDesc product = product(rows, slice);
    try (Handles temporary = new Handles()) {
      return product.compile(
          key.compute() == DType.F32
              ? Descriptors.strided(ElementType.F32, depth(slice), WIDTH, WIDTH, 1, temporary)
              : product(RowBlocks.MOST, slice).preferredWeights(temporary));
    }
  }

  private MatmulDesc product(int rows, int slice) {
    boolean last = slice == slices() - 1;
    return new MatmulDesc(
        rows,
        depth(slice),
        WIDTH,
        ElementType.of(key.compute()),
        key.cols(),
        ElementType.of(key.compute()),
        ElementType.F32,
        WIDTH,
        last && key.bias(),
        slice > 0,
        last ? key.postOps() : List.of());
  }
}
