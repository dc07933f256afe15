package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import org.sparkmoe.kernels.cuda.PtxModule.Kernel;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;

/**
 * For quantized weights, on every GPU since compute capability 8.0: blocks of threads that unpack
 * codes to bf16 on their way through shared memory. The figures are those of {@code coded.cu}.
 */
final class QuantProducts implements Products {
  private static final int TILE_ROWS = 128;
  private static final int SLICE_ROWS = 16;
  private static final int TILE_SUMS = 128;
  private static final int DEPTH = 64;
  private static final int STAGES = 3;
  private static final int THREADS = 256;
  private static final int OPERAND_BYTES = 128 * DEPTH * 2;
  private static final int SCALE_BYTES = 128 * 8 * 2 * Float.BYTES;

  private final int sharedBytes;
  private final Kernel innerGated;
  private final Kernel innerPlain;
  private final Kernel outer;

  /** The kernels of {@code coded.cu} for weights of {@code codes}. */
  QuantProducts(PtxModule module, CodeType codes) {
    int stage = OPERAND_BYTES + TILE_SUMS * DEPTH * codes.bits() / Byte.SIZE;
    this.sharedBytes = STAGES * stage + OPERAND_BYTES + SCALE_BYTES;
    this.innerGated = module.kernel("inner_gated", codes, sharedBytes);
    this.innerPlain = module.kernel("inner_plain", codes, sharedBytes);
    this.outer = module.kernel("outer", codes, sharedBytes);
  }

  @Override
  public int tileRows() {
    return TILE_ROWS;
  }

  /** Warps multiply by slices, and leave out those without rows. */
  @Override
  public int rowsTogether() {
    return SLICE_ROWS;
  }

  @Override
  public void launch(
      Stream stream, Batch batch, TilePlan tiles, long plan, GpuActivation activation) {
    GpuShape shape = batch.shape();
    QuantFormat format = (QuantFormat) shape.weights();
    boolean gated = shape.gated();
    try (Arena arena = Arena.ofConfined()) {
      stream.launch(
          gated ? innerGated : innerPlain,
          Math.ceilDiv(shape.intermediate(), gated ? TILE_SUMS / 2 : TILE_SUMS),
          tiles.count(),
          THREADS,
          sharedBytes,
          batch.x(),
          batch.tokenOfOrZero(),
          plan + tiles.offset(),
          plan,
          batch.inner(),
          shape.paddedHidden(),
          shape.intermediate(),
          shape.paddedIntermediate(),
          activation.kind(),
          activation.alpha(),
          activation.beta(),
          activation.limit(),
          shape.innerLayout(format).argument(arena));
      stream.launch(
          outer,
          Math.ceilDiv(shape.hidden(), TILE_SUMS),
          tiles.count(),
          THREADS,
          sharedBytes,
          batch.inner(),
          plan + tiles.offset(),
          plan,
          batch.out(),
          shape.paddedIntermediate(),
          shape.hidden(),
          shape.outerLayout(format).argument(arena));
    }
  }

  @Override
  public String toString() {
    return "portable, unpacking";
  }
}
