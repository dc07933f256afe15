package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import java.util.List;
import org.sparkmoe.kernels.cuda.PtxModule.Kernel;
import org.sparkmoe.kernels.tensor.QuantFormat;

/**
 * For weights of four bits in groups, on every GPU since compute capability 8.0: codes become bf16
 * in the registers that multiply them. Rows have the same bits in tiles of any size. The figures
 * are those of {@code fourbit.cu}.
 */
final class FourBitProducts implements Products {
  /** What the kernels are called: codes, and columns in a group. */
  static final List<String> NAMES =
      List.of("uint4_32", "uint4_64", "uint4_128", "e2m1_16", "e2m1_32");

  private static final int TILE_SUMS = 128;
  private static final int TOGETHER = 8;
  private static final int PIECE_PITCH = 2 * FourBitLayout.UNIT_COLS * 2 + 32;
  private static final int SUMS_PITCH = (TILE_SUMS + 4) * Float.BYTES;
  private static final int WARP = 32;

  /** Kernels for tiles of up to {@code rows} rows. */
  private record Form(int rows, int warps, Kernel gated, Kernel plain) {
    static Form of(PtxModule module, String name, String form, int rows, int warps) {
      int shared = sharedBytes(rows);
      return new Form(
          rows,
          warps,
          module.kernel("gated_%s_%s".formatted(name, form), shared),
          module.kernel("plain_%s_%s".formatted(name, form), shared));
    }

    /** Two pieces of the rows; afterwards their sums. */
    private static int sharedBytes(int rows) {
      return rows * Math.max(2 * PIECE_PITCH, SUMS_PITCH);
    }

    int sharedBytes() {
      return sharedBytes(rows);
    }

    int threads() {
      return warps * WARP;
    }
  }

  private final Form few;
  private final Form many;

  /**
   * The kernels of that name.
   *
   * @param name as {@link FourBitLayout#kernels} says
   */
  FourBitProducts(PtxModule module, String name) {
    this.few = Form.of(module, name, "few", 16, 4);
    this.many = Form.of(module, name, "many", 64, 8);
  }

  @Override
  public int tileRows() {
    return many.rows();
  }

  /** Tensor cores multiply eight rows at a time. */
  @Override
  public int rowsTogether() {
    return TOGETHER;
  }

  @Override
  public void launch(
      Stream stream, Batch batch, TilePlan tiles, long plan, GpuActivation activation) {
    GpuShape shape = batch.shape();
    QuantFormat format = (QuantFormat) shape.weights();
    Form form = tiles.mostRows() <= few.rows() ? few : many;
    try (Arena arena = Arena.ofConfined()) {
      if (shape.gated()) {
        stream.launch(
            form.gated(),
            Math.ceilDiv(shape.paddedIntermediate(), TILE_SUMS / 2),
            tiles.count(),
            form.threads(),
            form.sharedBytes(),
            batch.x(),
            batch.tokenOfOrZero(),
            plan + tiles.offset(),
            plan,
            batch.inner(),
            shape.intermediate(),
            shape.paddedIntermediate(),
            activation.kind(),
            activation.alpha(),
            activation.beta(),
            activation.limit(),
            shape.innerLayout(format).argument(arena));
      } else {
        plain(stream, form, batch, tiles, plan, activation, false, arena);
      }
      plain(stream, form, batch, tiles, plan, activation, true, arena);
    }
  }

  private static void plain(
      Stream stream,
      Form form,
      Batch batch,
      TilePlan tiles,
      long plan,
      GpuActivation activation,
      boolean isOuter,
      Arena arena) {
    GpuShape shape = batch.shape();
    QuantFormat format = (QuantFormat) shape.weights();
    int stride = isOuter ? shape.hidden() : shape.paddedIntermediate();
    stream.launch(
        form.plain(),
        Math.ceilDiv(stride, TILE_SUMS),
        tiles.count(),
        form.threads(),
        form.sharedBytes(),
        isOuter ? batch.inner() : batch.x(),
        isOuter ? 0L : batch.tokenOfOrZero(),
        plan + tiles.offset(),
        plan,
        isOuter ? batch.out() : batch.inner(),
        isOuter ? 1 : 0,
        isOuter ? shape.hidden() : shape.intermediate(),
        stride,
        activation.kind(),
        activation.alpha(),
        activation.beta(),
        activation.limit(),
        (isOuter ? shape.outerLayout(format) : shape.innerLayout(format)).argument(arena));
  }

  @Override
  public String toString() {
    return "portable, unpacking in registers";
  }
}
