package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.tensor.DType;

/**
 * A part of the GPU while one batch is computed. Every step starts work there and returns before it
 * is done, unless it says that it waits; steps run in the order in which they were started:
 *
 * <ol>
 *   <li>{@link #load} brings tokens, {@link #route} or {@link #routes} says where each goes, and
 *       {@link #permute} sorts the assignments by expert
 *   <li>{@link #arrange} brings rows into that order, {@link #start} takes them through experts, as
 *       often as it takes
 *   <li>{@link #combine}, {@link #scatter} or {@link #rows} says what becomes of the result, and
 *       {@link #finish} waits for it
 * </ol>
 *
 * <p>One thread at a time, which holds the lane from {@link Gpu#lane} to {@link #close}.
 */
public final class Lane implements AutoCloseable {
  private static final int SMALL_BLOCK = 256;

  private final Gpu gpu;
  private final Stream stream;
  private final Staging staging;
  private final DeviceRoutes routes;
  private final DeviceBuffer tokens;
  private final DeviceBuffer padded;
  private final DeviceBuffer arranged;
  private final PlanBuffer plans;
  private final DeviceBuffer intermediate;
  private final DeviceBuffer rows;
  private final DeviceBuffer result;

  /** Two, so that experts can be started while others run. */
  private final Run[] runs;

  private int nextRun;

  private int hidden;
  private int count;
  private DType type;
  private boolean permuted;
  private Products products;
  private Products.Batch batch;
  private long finishedFrom;
  private MemorySegment finishedTo = MemorySegment.NULL;

  /** Some rows of an expert: {@code first} counts rows of the whole batch. */
  public record Piece(GpuExpert expert, int first, int rows) {}

  /** Experts that were started. Valid until two more are. */
  public static final class Run {
    private final Event start;
    private final Event end;
    private boolean empty;

    private Run(Driver driver, Owned owned) {
      this.start = Event.open(driver, owned);
      this.end = Event.open(driver, owned);
    }

    /** Waits until they are done; returns the nanoseconds that they took on the GPU. */
    public long nanos() {
      return empty ? 0 : end.nanosSince(start);
    }
  }

  Lane(Gpu gpu, Owned owned) {
    this.gpu = gpu;
    this.stream = Stream.open(gpu.driver(), owned);
    this.staging = new Staging(gpu, owned);
    this.routes = new DeviceRoutes(gpu);
    this.runs = new Run[] {new Run(gpu.driver(), owned), new Run(gpu.driver(), owned)};
    this.tokens = new DeviceBuffer(gpu);
    this.padded = new DeviceBuffer(gpu);
    this.arranged = new DeviceBuffer(gpu);
    this.plans = new PlanBuffer(gpu);
    this.intermediate = new DeviceBuffer(gpu);
    this.rows = new DeviceBuffer(gpu);
    this.result = new DeviceBuffer(gpu);
  }

  /**
   * Brings tokens to the GPU.
   *
   * @param width H
   * @param x tokens × H; stays as it is until {@link #finish} where it is page-locked
   */
  public void load(int width, int tokenCount, MemorySegment x, DType typeOfX) {
    hidden = width;
    count = tokenCount;
    type = typeOfX;
    permuted = false;
    products = null;
    batch = null;
    long bytes = type.bytes((long) count * hidden);
    staging.upload(stream, x.asSlice(0, bytes), tokens.of(bytes));
  }

  /** Chooses the experts of each token: those are the local ones. */
  public void route(GpuRouter router) {
    routes.choose(stream, router, count, tokens.of(0), type);
  }

  /**
   * Brings the experts of each token.
   *
   * @param localExperts numbers of the assignments' experts here, negative for those elsewhere
   */
  public void routes(TokenRoutes batch, int[] localExperts) {
    routes.send(stream, batch, localExperts);
  }

  /** Fetches what {@link #route} chose, to {@code from} on, and waits for it. */
  public void fetchRoutes(int[] topkIds, float[] topkWeights, int from) {
    routes.fetch(stream, topkIds, topkWeights, from);
  }

  /** Sorts assignments by expert; within an expert they stay in their order. */
  public void permute(int localExperts) {
    permuted = true;
    routes.permute(stream, localExperts);
  }

  /** Rows of each expert, in the order in which they lie; waits for the permutation. */
  public int[] rowsOfExperts(int localExperts) {
    return routes.rowsOfExperts(stream, localExperts);
  }

  /**
   * Brings the rows of the batch into their order; those of a batch without routes are its tokens.
   */
  public void arrange(GpuShape shape) {
    products = gpu.kernels().products(shape);
    int rowCount = permuted ? routes.rows() : count;
    batch =
        new Products.Batch(
            shape,
            rowCount,
            rounded(shape),
            permuted ? routes.tokenOfRow() : 0,
            intermediate.of(shape.type().bytes((long) rowCount * shape.paddedIntermediate())),
            rows.of(DType.F32.bytes((long) rowCount * hidden)));
    if (rowCount > 0) {
      batch = products.arrange(stream, batch, arranged);
    }
  }

  /** The tokens as products read them. */
  private long rounded(GpuShape shape) {
    if (type == shape.type() && hidden == shape.paddedHidden()) {
      return tokens.of(0);
    }
    long to = padded.of(shape.type().bytes((long) count * shape.paddedHidden()));
    if (count > 0) {
      stream.launch(
          gpu.kernels().tokens().pads().get(type).get(shape.type()),
          count,
          1,
          SMALL_BLOCK,
          0,
          tokens.of(0),
          to,
          hidden,
          shape.paddedHidden());
    }
    return to;
  }

  /**
   * Takes rows through experts, which stay until that is done. Not more than two at a time.
   *
   * @param pieces of any experts of the batch's shape
   */
  public Run start(List<Piece> pieces, GpuActivation activation) {
    Run run = runs[nextRun++ & 1];
    try (Arena arena = Arena.ofConfined()) {
      TilePlan tiles = TilePlan.of(pieces, products.tileRows(), arena);
      run.empty = tiles.count() == 0;
      if (!run.empty) {
        long plan = plans.upload(stream, tiles.memory());
        run.start.mark(stream);
        products.launch(stream, batch, tiles, plan, activation);
        run.end.mark(stream);
      }
    }
    return run;
  }

  /** As {@link #start}, and waits; returns the nanoseconds that it took on the GPU. */
  public long run(List<Piece> pieces, GpuActivation activation) {
    return start(pieces, activation).nanos();
  }

  /** The rows as they are: rows × H f32. */
  public void rows(MemorySegment out) {
    fetch(rows.of(0), out);
  }

  /**
   * The tokens: their rows weighed and summed over slots, with the arithmetic of the CPU.
   *
   * @param out receives tokens × H
   */
  public void combine(MemorySegment out, DType typeOfOut) {
    fetch(sum(typeOfOut), out);
  }

  /** As {@link #combine}, and leaves the sums on the GPU, at the address that it returns. */
  public long sum(DType typeOfSums) {
    long sums = result.of(typeOfSums.bytes((long) count * hidden));
    if (count > 0) {
      routes.combine(stream, rows.of(0), hidden, sums, typeOfSums);
    }
    return sums;
  }

  /**
   * The row of each assignment, zeros where it is elsewhere.
   *
   * @param out receives assignments × H f32
   */
  public void scatter(MemorySegment out) {
    long sorted = result.of(out.byteSize());
    if (out.byteSize() > 0) {
      routes.scatter(stream, rows.of(0), hidden, sorted);
    }
    fetch(sorted, out);
  }

  /** Page-locked memory is written without the CPU, which copies to other memory later. */
  private void fetch(long from, MemorySegment to) {
    if (gpu.isPinned(to)) {
      stream.download(from, to);
    } else {
      finishedFrom = from;
      finishedTo = to;
    }
  }

  /** Waits until the result is where it belongs, and brings up what failed. */
  public void finish() {
    MemorySegment to = finishedTo;
    finishedTo = MemorySegment.NULL;
    staging.download(stream, finishedFrom, to);
    stream.synchronize();
  }

  /** Waits for what was started, and lets the next batch in. */
  @Override
  public void close() {
    try {
      // Also where a step failed: whoever owns the memory may give it back now.
      finishedTo = MemorySegment.NULL;
      stream.synchronize();
    } finally {
      gpu.leave(this);
    }
  }

  /** Gives all buffers back. */
  void free() {
    List.of(tokens, padded, arranged, intermediate, rows, result).forEach(DeviceBuffer::free);
    routes.free();
    plans.free();
    staging.free();
  }
}
