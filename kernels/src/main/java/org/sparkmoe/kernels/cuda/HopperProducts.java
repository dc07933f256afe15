package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.cuda.PtxModule.Kernel;
import org.sparkmoe.kernels.tensor.DType;

/**
 * For compute capability 9.0: one block a multiprocessor, and each two of them take tile after tile
 * through the copy engine. That engine gathers no rows: two warps do where few tiles read a row,
 * and where many do, rows are brought into order first. The figures are those of {@code
 * hopper.cuh}.
 */
final class HopperProducts implements Products {
  private static final int GATHER_THREADS = 256;
  private static final int CHUNK_BYTES = 16;

  /**
   * Tiles of columns that gather rows themselves, at most: with more a copy in order costs less.
   */
  private static final int MOST_GATHERING = 8;

  private final Driver driver;
  private final DType type;
  private final int multiprocessors;
  private final Kernel gather;
  private final Kernel innerGated;
  private final Kernel innerPlain;
  private final Kernel outer;

  /**
   * The kernels of {@code hopper.cu} for weights of {@code type}.
   *
   * @param gather of {@code tokens.cu}
   */
  HopperProducts(PtxModule module, Kernel gather, DType type, int multiprocessors) {
    this.driver = module.driver();
    this.type = type;
    this.multiprocessors = multiprocessors;
    this.gather = gather;
    this.innerGated = module.kernel("inner_gated", type, HopperTiling.SHARED_BYTES);
    this.innerPlain = module.kernel("inner_plain", type, HopperTiling.SHARED_BYTES);
    this.outer = module.kernel("outer", type, HopperTiling.SHARED_BYTES);
  }

  @Override
  public int tileRows() {
    return HopperTiling.ROWS;
  }

  @Override
  public MemorySegment note(GpuShape shape, long w1, long w2, Arena arena) {
    return HopperTiling.maps(driver, TensorMaps.Element.of(type), shape, w1, w2, arena);
  }

  @Override
  public Batch arrange(Stream stream, Batch batch, DeviceBuffer room) {
    GpuShape shape = batch.shape();
    if (batch.tokenOfOrZero() == 0 || batch.rows() == 0 || innerColumns(shape) <= MOST_GATHERING) {
      return batch;
    }
    long rowBytes = type.bytes(shape.paddedHidden());
    long rows = room.of(batch.rows() * rowBytes);
    stream.launch(
        gather,
        batch.rows(),
        1,
        GATHER_THREADS,
        0,
        batch.x(),
        batch.tokenOfOrZero(),
        rows,
        (int) (rowBytes / CHUNK_BYTES));
    return new Batch(shape, batch.rows(), rows, 0, batch.inner(), batch.out());
  }

  private static int innerColumns(GpuShape shape) {
    return Math.ceilDiv(
        shape.intermediate(), shape.gated() ? HopperTiling.SUMS / 2 : HopperTiling.SUMS);
  }

  @Override
  public void launch(
      Stream stream, Batch batch, TilePlan tiles, long plan, GpuActivation activation) {
    GpuShape shape = batch.shape();
    boolean gated = shape.gated();
    int innerColumns = innerColumns(shape);
    int outerColumns = Math.ceilDiv(shape.hidden(), HopperTiling.SUMS);
    try (Arena arena = Arena.ofConfined()) {
      stream.launch(
          gated ? innerGated : innerPlain,
          HopperTiling.blocks(multiprocessors, tiles, innerColumns),
          1,
          HopperTiling.THREADS,
          HopperTiling.SHARED_BYTES,
          batch.tokenOfOrZero() == 0
              ? rows(batch.x(), batch.rows(), shape.paddedHidden(), arena)
              : arena.allocate(TensorMaps.BYTES, Long.BYTES),
          batch.x(),
          batch.tokenOfOrZero(),
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
          plan + tiles.innerCounter());
      stream.launch(
          outer,
          HopperTiling.blocks(multiprocessors, tiles, outerColumns),
          1,
          HopperTiling.THREADS,
          HopperTiling.SHARED_BYTES,
          rows(batch.inner(), batch.rows(), shape.paddedIntermediate(), arena),
          plan + tiles.offset(),
          plan,
          batch.out(),
          tiles.count(),
          outerColumns,
          shape.paddedIntermediate(),
          shape.hidden(),
          HopperTiling.sums(driver, batch.out(), batch.rows(), shape.hidden(), arena),
          plan + tiles.outerCounter());
    }
  }

  private MemorySegment rows(long address, int rows, int cols, Arena arena) {
    return TensorMaps.matrix(
        driver,
        TensorMaps.Element.of(type),
        address,
        rows,
        cols,
        type.bytes(cols),
        HopperTiling.BLOCK_ROWS,
        arena);
  }

  @Override
  public String toString() {
    return "sm_90a";
  }
}
