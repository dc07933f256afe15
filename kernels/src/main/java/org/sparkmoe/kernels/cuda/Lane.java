package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.sparkmoe.kernels.cuda.PtxModule.Kernel;
import org.sparkmoe.kernels.tensor.DType;

/**
 * A part of the GPU while one batch is computed: {@link #load} brings tokens, {@link #run} takes
 * rows through experts, as often as it takes, and one of the rest fetches the result. Rows are
 * sorted by expert, whatever runs first. One thread at a time, which holds the lane from {@link
 * Gpu#lane} to {@link #close}.
 */
public final class Lane implements AutoCloseable {
  private static final int SMALL_BLOCK = 256;

  private final Gpu gpu;
  private final Stream stream;
  private final Staging staging;
  private final PinnedBuffer indices;
  private final DeviceBuffer tokens;
  private final DeviceBuffer padded;
  private final DeviceBuffer tokenOf;
  private final DeviceBuffer arranged;
  private final DeviceBuffer plan;
  private final DeviceBuffer intermediate;
  private final DeviceBuffer rows;
  private final DeviceBuffer slots;
  private final DeviceBuffer result;

  private GpuShape shape;
  private Products products;
  private Products.Batch batch;

  /** Some rows of an expert: {@code first} counts rows of the whole batch. */
  public record Piece(GpuExpert expert, int first, int rows) {}

  Lane(Gpu gpu, Stream stream) {
    this.gpu = gpu;
    this.stream = stream;
    this.staging = new Staging(gpu.driver());
    this.indices = new PinnedBuffer(gpu.driver());
    this.tokens = new DeviceBuffer(gpu);
    this.padded = new DeviceBuffer(gpu);
    this.tokenOf = new DeviceBuffer(gpu);
    this.arranged = new DeviceBuffer(gpu);
    this.plan = new DeviceBuffer(gpu);
    this.intermediate = new DeviceBuffer(gpu);
    this.rows = new DeviceBuffer(gpu);
    this.slots = new DeviceBuffer(gpu);
    this.result = new DeviceBuffer(gpu);
  }

  /**
   * Brings tokens to the GPU and rounds them to the type of the weights.
   *
   * @param x count × H f32
   * @param tokenOfOrNull the token of each row; null where rows are tokens
   * @param rowCount rows of the batch
   */
  public void load(
      GpuShape experts, int count, MemorySegment x, int[] tokenOfOrNull, int rowCount) {
    shape = experts;
    products = gpu.kernels().products(shape.weights());
    boolean gathers = tokenOfOrNull != null;
    long hidden = shape.hidden();
    long wide = tokens.of(DType.F32.bytes(count * hidden));
    long narrow = padded.of(shape.type().bytes((long) count * shape.paddedHidden()));
    long tokenIds = tokenOf.of((long) rowCount * Integer.BYTES);
    batch =
        new Products.Batch(
            shape,
            rowCount,
            narrow,
            gathers ? tokenIds : 0,
            intermediate.of(shape.type().bytes((long) rowCount * shape.paddedIntermediate())),
            rows.of(DType.F32.bytes(rowCount * hidden)));
    if (count == 0) {
      return;
    }
    staging.upload(stream, x.asSlice(0, DType.F32.bytes(count * hidden)), wide);
    Kernel pad = gpu.kernels().pad().get(shape.type());
    stream.launch(
        pad, count, 1, SMALL_BLOCK, 0, wide, narrow, shape.hidden(), shape.paddedHidden());
    if (gathers) {
      MemorySegment ids = indices.of(rowCount * 4L).asSlice(0, rowCount * 4L);
      MemorySegment.copy(tokenOfOrNull, 0, ids, JAVA_INT, 0, rowCount);
      stream.upload(ids, tokenIds);
    }
    batch = products.arrange(stream, batch, arranged);
    stream.synchronize();
  }

  /**
   * Takes rows through experts, and waits until that is done: the experts can go then.
   *
   * @param pieces of any experts of the batch's shape
   * @return nanoseconds that it took on the GPU
   */
  public long run(List<Piece> pieces, GpuActivation activation) {
    try (Arena arena = Arena.ofConfined()) {
      TilePlan tiles = TilePlan.of(pieces, products.tileRows(), arena);
      if (tiles.count() == 0) {
        return 0;
      }
      long experts = plan.of(tiles.bytes());
      MemorySegment pinned = indices.of(tiles.bytes()).asSlice(0, tiles.bytes());
      stream.upload(pinned.copyFrom(tiles.memory()), experts);
      stream.markStart();
      products.launch(stream, batch, tiles, experts, activation);
      stream.markEnd();
      return stream.nanos();
    }
  }

  /** Fetches the rows as they are: rows × H f32. */
  public void rows(MemorySegment out) {
    staging.download(stream, rows.of(0), out);
  }

  /**
   * Weighs rows and sums them over slots, in their order.
   *
   * @param rowOf the row of each assignment, negative where it is elsewhere
   * @param weights of the assignments
   * @param offsets of the tokens' assignments, and their number
   * @param out receives tokens × H f32
   */
  public void combine(int[] rowOf, float[] weights, int[] offsets, MemorySegment out) {
    int count = offsets.length - 1;
    if (count == 0) {
      return;
    }
    long part = Gpu.aligned(rowOf.length * 4L);
    long bytes = 2 * part + offsets.length * 4L;
    MemorySegment all = indices.of(bytes).asSlice(0, bytes);
    MemorySegment.copy(rowOf, 0, all, JAVA_INT, 0, rowOf.length);
    MemorySegment.copy(weights, 0, all, DType.LE_FLOAT, part, weights.length);
    MemorySegment.copy(offsets, 0, all, JAVA_INT, 2 * part, offsets.length);
    long ids = slots.of(bytes);
    long sums = result.of(out.byteSize());
    stream.upload(all, ids);
    stream.launch(
        gpu.kernels().combine(),
        count,
        1,
        SMALL_BLOCK,
        0,
        rows.of(0),
        ids,
        ids + part,
        ids + 2 * part,
        sums,
        shape.hidden());
    staging.download(stream, sums, out);
  }

  /**
   * Fetches the row of each assignment, zeros where it is elsewhere.
   *
   * @param rowOf as for {@link #combine}
   * @param out receives assignments × H f32
   */
  public void scatter(int[] rowOf, MemorySegment out) {
    if (rowOf.length == 0) {
      return;
    }
    long bytes = rowOf.length * 4L;
    MemorySegment all = indices.of(bytes).asSlice(0, bytes);
    MemorySegment.copy(rowOf, 0, all, JAVA_INT, 0, rowOf.length);
    long ids = slots.of(bytes);
    long sorted = result.of(out.byteSize());
    stream.upload(all, ids);
    stream.launch(
        gpu.kernels().scatter(),
        rowOf.length,
        1,
        SMALL_BLOCK,
        0,
        rows.of(0),
        ids,
        sorted,
        shape.hidden());
    staging.download(stream, sorted, out);
  }

  /** Lets the next batch in. */
  @Override
  public void close() {
    gpu.leave(this);
  }

  /** Gives all buffers back. */
  void free() {
    for (DeviceBuffer buffer :
        List.of(tokens, padded, tokenOf, arranged, plan, intermediate, rows, slots, result)) {
      buffer.free();
    }
    indices.free();
    staging.free();
  }
}
