package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.cuda.PtxModule.Kernel;
import org.sparkmoe.kernels.tensor.DType;

/**
 * For compute capability 9.0: one block a multiprocessor, and each two of them take tile after tile
 * through the copy engine. That engine gathers no rows, so they are brought into order first. The
 * figures are those of {@code hopper.cu}.
 */
final class HopperProducts implements Products {
  private static final int BLOCKS = 2;
  private static final int BLOCK_ROWS = 128;
  private static final int TILE_SUMS = 256;

  /** Of the weights, that a block copies for both. */
  private static final int COPIED_SUMS = TILE_SUMS / BLOCKS;

  private static final int THREADS = 384;
  private static final int STAGES = 4;
  private static final int STAGE_BYTES = (BLOCK_ROWS + TILE_SUMS) * TensorMaps.DEPTH * 2;
  private static final int SCRATCH_BYTES = 8 * 16 * 68 * Float.BYTES;
  private static final int BARRIER_BYTES = 2 * STAGES * Long.BYTES;
  private static final int SHARED_BYTES = STAGES * STAGE_BYTES + SCRATCH_BYTES + BARRIER_BYTES;
  private static final int GATHER_THREADS = 256;
  private static final int CHUNK_BYTES = 16;

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
    this.innerGated = module.kernel("inner_gated", type, SHARED_BYTES);
    this.innerPlain = module.kernel("inner_plain", type, SHARED_BYTES);
    this.outer = module.kernel("outer", type, SHARED_BYTES);
  }

  @Override
  public int tileRows() {
    return BLOCKS * BLOCK_ROWS;
  }

  /** The tensor maps of the inner projections and of w2. */
  @Override
  public MemorySegment note(GpuShape shape, long w1, long w2, Arena arena) {
    int count = shape.gated() ? 2 : 1;
    MemorySegment inner =
        TensorMaps.matrices(
            driver,
            type,
            w1,
            count,
            shape.innerBytes(),
            shape.intermediate(),
            shape.paddedHidden(),
            COPIED_SUMS,
            arena);
    MemorySegment outerMap =
        TensorMaps.matrices(
            driver,
            type,
            w2,
            1,
            shape.outerBytes(),
            shape.hidden(),
            shape.paddedIntermediate(),
            COPIED_SUMS,
            arena);
    MemorySegment both = arena.allocate(2L * TensorMaps.BYTES, Long.BYTES);
    MemorySegment.copy(inner, 0, both, 0, TensorMaps.BYTES);
    MemorySegment.copy(outerMap, 0, both, TensorMaps.BYTES, TensorMaps.BYTES);
    return both;
  }

  @Override
  public Batch arrange(Stream stream, Batch batch, DeviceBuffer room) {
    if (batch.tokenOfOrZero() == 0 || batch.rows() == 0) {
      return batch;
    }
    GpuShape shape = batch.shape();
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

  @Override
  public void launch(
      Stream stream, Batch batch, TilePlan tiles, long plan, GpuActivation activation) {
    GpuShape shape = batch.shape();
    boolean gated = shape.gated();
    int innerColumns = Math.ceilDiv(shape.intermediate(), gated ? TILE_SUMS / 2 : TILE_SUMS);
    int outerColumns = Math.ceilDiv(shape.hidden(), TILE_SUMS);
    try (Arena arena = Arena.ofConfined()) {
      stream.launch(
          gated ? innerGated : innerPlain,
          blocks(tiles, innerColumns),
          1,
          THREADS,
          SHARED_BYTES,
          rows(batch.x(), batch.rows(), shape.paddedHidden(), arena),
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
          activation.limit());
      stream.launch(
          outer,
          blocks(tiles, outerColumns),
          1,
          THREADS,
          SHARED_BYTES,
          rows(batch.inner(), batch.rows(), shape.paddedIntermediate(), arena),
          plan + tiles.offset(),
          plan,
          batch.out(),
          tiles.count(),
          outerColumns,
          shape.paddedIntermediate(),
          shape.hidden());
    }
  }

  private int blocks(TilePlan tiles, int columns) {
    return BLOCKS * (int) Math.min(multiprocessors / BLOCKS, (long) tiles.count() * columns);
  }

  private MemorySegment rows(long address, int rows, int cols, Arena arena) {
    return TensorMaps.matrix(driver, type, address, rows, cols, BLOCK_ROWS, arena);
  }

  @Override
  public String toString() {
    return "sm_90a";
  }
}
