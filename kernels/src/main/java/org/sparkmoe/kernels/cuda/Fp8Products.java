package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.cuda.PtxModule.Kernel;
import org.sparkmoe.kernels.tensor.QuantFormat;

/**
 * For e4m3 weights in blocks of 128 × 128 and rows in groups of 128, on compute capability 9.0:
 * codes are multiplied by codes. Rows arrive as f32, decoded; encoding those once more, which is
 * done while they are brought into order, gives the same codes. The figures are those of {@code
 * fp8.cu}.
 */
final class Fp8Products implements Products {
  private static final int QUANTIZE_THREADS = 256;

  private final Driver driver;
  private final int multiprocessors;
  private final Kernel quantize;
  private final Kernel inner;
  private final Kernel outer;

  Fp8Products(PtxModule module, int multiprocessors) {
    this.driver = module.driver();
    this.multiprocessors = multiprocessors;
    this.quantize = module.kernel("quantize_fp8", 0);
    this.inner = module.kernel("inner_gated_fp8", HopperTiling.SHARED_BYTES);
    this.outer = module.kernel("outer_fp8", HopperTiling.SHARED_BYTES);
  }

  @Override
  public int tileRows() {
    return HopperTiling.ROWS;
  }

  @Override
  public MemorySegment note(GpuShape shape, long w1, long w2, Arena arena) {
    return HopperTiling.maps(driver, TensorMaps.Element.BYTE, shape, w1, w2, arena);
  }

  @Override
  public Batch arrange(Stream stream, Batch batch, DeviceBuffer room) {
    if (batch.rows() == 0) {
      return batch;
    }
    GpuShape shape = batch.shape();
    long rows = room.of((long) batch.rows() * GpuRows.codedBytes(shape.paddedHidden()));
    stream.launch(
        quantize,
        batch.rows(),
        1,
        QUANTIZE_THREADS,
        0,
        batch.x(),
        batch.tokenOfOrZero(),
        rows,
        shape.paddedHidden(),
        powers(shape));
    return new Batch(shape, batch.rows(), rows, 0, batch.inner(), batch.out());
  }

  private static int powers(GpuShape shape) {
    return shape.rows() == GpuRows.FP8_POWERS ? 1 : 0;
  }

  @Override
  public void launch(
      Stream stream, Batch batch, TilePlan tiles, long plan, GpuActivation activation) {
    GpuShape shape = batch.shape();
    QuantFormat format = (QuantFormat) shape.weights();
    int innerColumns = Math.ceilDiv(shape.intermediate(), HopperTiling.SUMS / 2);
    int outerColumns = Math.ceilDiv(shape.hidden(), HopperTiling.SUMS);
    try (Arena arena = Arena.ofConfined()) {
      stream.launch(
          inner,
          HopperTiling.blocks(multiprocessors, tiles, innerColumns),
          1,
          HopperTiling.THREADS,
          HopperTiling.SHARED_BYTES,
          rows(batch.x(), batch.rows(), shape.paddedHidden(), arena),
          batch.x(),
          plan + tiles.offset(),
          plan,
          batch.inner(),
          tiles.count(),
          innerColumns,
          shape.paddedHidden(),
          shape.intermediate(),
          shape.paddedIntermediate(),
          activation.kind(),
          activation.alpha(),
          activation.beta(),
          activation.limit(),
          powers(shape),
          shape.innerLayout(format).argument(arena),
          plan + tiles.innerCounter());
      stream.launch(
          outer,
          HopperTiling.blocks(multiprocessors, tiles, outerColumns),
          1,
          HopperTiling.THREADS,
          HopperTiling.SHARED_BYTES,
          rows(batch.inner(), batch.rows(), shape.paddedIntermediate(), arena),
          batch.inner(),
          plan + tiles.offset(),
          plan,
          batch.out(),
          tiles.count(),
          outerColumns,
          shape.paddedIntermediate(),
          shape.hidden(),
          shape.outerLayout(format).argument(arena),
          HopperTiling.sums(driver, batch.out(), batch.rows(), shape.hidden(), arena),
          plan + tiles.outerCounter());
    }
  }

  private MemorySegment rows(long address, int rows, int codes, Arena arena) {
    return TensorMaps.matrix(
        driver,
        TensorMaps.Element.BYTE,
        address,
        rows,
        codes,
        GpuRows.codedBytes(codes),
        HopperTiling.BLOCK_ROWS,
        arena);
  }

  @Override
  public String toString() {
    return "sm_90a, FP8";
  }
}
