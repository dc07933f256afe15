package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.tensor.DType;

/**
 * The assignments of a batch on the GPU: experts, weights, and the permutation by expert, the same
 * stable counting sort as on the CPU. One batch at a time.
 */
final class DeviceRoutes {
  /** Assignments that a warp sorts, as in {@code tokens.cu}. */
  private static final int STRETCH = 256;

  private static final int MOST_WARPS = 8;
  private static final int WARP = 32;
  private static final int SHARED_BYTES = 48 << 10;
  private static final int ALL_WARPS = 1024;
  private static final int SMALL_BLOCK = 256;

  /** An assignment of the sums, as in {@code tokens.cu}, and four values of a row. */
  private static final int ADDEND_BYTES = 16;

  private static final int QUAD_BYTES = 16;

  private final TokenKernels kernels;
  private final PinnedBuffer sent;
  private final PinnedBuffer received;
  private final DeviceBuffer given;
  private final DeviceBuffer logits;
  private final DeviceBuffer places;
  private final DeviceBuffer counts;
  private final DeviceBuffer totals;

  private int tokens;
  private int assignments;
  private int topK;

  /** Assignments of a token, at most, and an id above that of any expert. */
  private int mostSlots;

  private int idBound;

  /** Addresses: experts by their number here, and by the id that orders a token's sum. */
  private long experts;

  private long expertIds;
  private long weights;
  private long offsetsOrZero;
  private long tokenOfRow;
  private int rows;

  DeviceRoutes(Gpu gpu) {
    this.kernels = gpu.kernels().tokens();
    this.sent = new PinnedBuffer(gpu.driver());
    this.received = new PinnedBuffer(gpu.driver());
    this.given = new DeviceBuffer(gpu);
    this.logits = new DeviceBuffer(gpu);
    this.places = new DeviceBuffer(gpu);
    this.counts = new DeviceBuffer(gpu);
    this.totals = new DeviceBuffer(gpu);
  }

  /**
   * Brings routes there; the stream has nothing to do.
   *
   * @param localExperts numbers of experts here, by assignment; negative for those elsewhere
   */
  void send(Stream stream, TokenRoutes routes, int[] localExperts) {
    tokens = routes.tokens();
    assignments = routes.assignments();
    topK = 0;
    mostSlots = 0;
    for (int token = 0; token < tokens; token++) {
      mostSlots = Math.max(mostSlots, routes.offsets()[token + 1] - routes.offsets()[token]);
    }
    idBound = Arrays.stream(routes.expertIds()).max().orElse(0) + 1;
    long part = Gpu.aligned(assignments * 4L);
    long bytes = 3 * part + (tokens + 1) * 4L;
    MemorySegment all = sent.of(bytes).asSlice(0, bytes);
    MemorySegment.copy(localExperts, 0, all, JAVA_INT, 0, assignments);
    MemorySegment.copy(routes.weights(), 0, all, DType.LE_FLOAT, part, assignments);
    MemorySegment.copy(routes.expertIds(), 0, all, JAVA_INT, 2 * part, assignments);
    MemorySegment.copy(routes.offsets(), 0, all, JAVA_INT, 3 * part, tokens + 1);
    experts = given.of(bytes);
    weights = experts + part;
    expertIds = experts + 2 * part;
    offsetsOrZero = experts + 3 * part;
    stream.upload(all, experts);
  }

  /** Chooses experts there. */
  void choose(Stream stream, GpuRouter router, int count, long x, DType type) {
    tokens = count;
    topK = router.rule().topK();
    mostSlots = topK;
    idBound = router.rule().experts();
    assignments = Math.multiplyExact(count, topK);
    long part = Gpu.aligned(assignments * 4L);
    experts = given.of(2 * part);
    expertIds = experts;
    weights = experts + part;
    offsetsOrZero = 0;
    if (count > 0) {
      long room = logits.of(DType.F32.bytes((long) count * router.rule().experts()));
      router.launch(stream, kernels.router(), count, x, type, room, experts, weights);
    }
  }

  /** Fetches ids and weights, and waits for them. */
  void fetch(Stream stream, int[] ids, float[] weightOf, int from) {
    if (assignments == 0) {
      return;
    }
    long part = assignments * 4L;
    MemorySegment both = received.of(2 * part);
    stream.download(experts, both.asSlice(0, part));
    stream.download(weights, both.asSlice(part, part));
    stream.synchronize();
    MemorySegment.copy(both, JAVA_INT, 0, ids, from, assignments);
    MemorySegment.copy(both, DType.LE_FLOAT, part, weightOf, from, assignments);
  }

  /** Starts sorting by expert. */
  void permute(Stream stream, int localExperts) {
    long part = Gpu.aligned(assignments * 4L);
    places.of(2 * part);
    tokenOfRow = places.of(0) + part;
    MemorySegment here = received.of(localExperts * 4L).asSlice(0, localExperts * 4L);
    if (assignments == 0 || localExperts == 0) {
      here.fill((byte) 0);
      return;
    }
    int stretches = Math.ceilDiv(assignments, STRETCH);
    int warps = Math.clamp(SHARED_BYTES / 4 / localExperts, 1, MOST_WARPS);
    int blocks = Math.ceilDiv(stretches, warps);
    int shared = warps * localExperts * 4;
    long count = counts.of(4L * localExperts * stretches);
    long total = totals.of(here.byteSize());
    stream.launch(
        kernels.count(),
        blocks,
        1,
        warps * WARP,
        shared,
        experts,
        assignments,
        localExperts,
        stretches,
        count);
    // A copy of the totals would wait for those of other batches' results.
    stream.launch(
        kernels.placeStretches(),
        1,
        1,
        ALL_WARPS,
        0,
        count,
        localExperts,
        stretches,
        total,
        here.address());
    stream.launch(
        kernels.place(),
        blocks,
        1,
        warps * WARP,
        shared,
        experts,
        assignments,
        localExperts,
        stretches,
        count,
        offsetsOrZero,
        tokens,
        topK,
        places.of(0),
        tokenOfRow);
  }

  /** Rows of each expert; waits for the stream. */
  int[] rowsOfExperts(Stream stream, int localExperts) {
    stream.synchronize();
    int[] result = new int[localExperts];
    MemorySegment.copy(received.of(0), JAVA_INT, 0, result, 0, localExperts);
    rows = 0;
    for (int of : result) {
      rows += of;
    }
    return result;
  }

  /** Assignments to experts here. */
  int rows() {
    return rows;
  }

  /** The address of the token of each row. */
  long tokenOfRow() {
    return tokenOfRow;
  }

  /** Starts the weighted sums of {@code rowsAt} over slots. */
  void combine(Stream stream, long rowsAt, int hidden, long out, DType type) {
    int threads = SMALL_BLOCK;
    while (combineBytes(threads) > SHARED_BYTES && threads > WARP) {
      threads /= 2;
    }
    if (combineBytes(threads) > SHARED_BYTES) {
      throw new IllegalArgumentException(
          "a token has %d experts, more than a GPU sums at a time".formatted(mostSlots));
    }
    stream.launch(
        kernels.combines().get(type),
        tokens,
        1,
        threads,
        combineBytes(threads),
        rowsAt,
        expertIds,
        places.of(0),
        weights,
        offsetsOrZero,
        topK,
        mostSlots,
        out,
        hidden);
  }

  /** Shared memory of the sums: a token's assignments, and for each thread sums that wait. */
  private int combineBytes(int threads) {
    int levels = Integer.SIZE - Integer.numberOfLeadingZeros(idBound - 1);
    // the newest is in registers, and none waits for the last
    int waiting = Math.max(0, Math.min(mostSlots - 2, levels - 1));
    return mostSlots * ADDEND_BYTES + waiting * threads * QUAD_BYTES;
  }

  /**
   * Starts bringing {@code rowsAt} into the order of the assignments, zeros for those elsewhere.
   */
  void scatter(Stream stream, long rowsAt, int hidden, long out) {
    stream.launch(
        kernels.scatter(), assignments, 1, SMALL_BLOCK, 0, rowsAt, places.of(0), out, hidden);
  }

  void free() {
    List.of(given, logits, places, counts, totals).forEach(DeviceBuffer::free);
    sent.free();
    received.free();
  }
}
