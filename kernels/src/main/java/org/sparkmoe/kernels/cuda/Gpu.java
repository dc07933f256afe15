package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.BlockingDeque;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.LinkedBlockingDeque;
import org.sparkmoe.kernels.tensor.DType;

/**
 * One GPU: its context, our kernels, its memory, and the lanes that work runs in. All threads of a
 * process share it; as many batches are under way as there are lanes, so that one is copied while
 * another is computed. Thread-safe.
 */
public final class Gpu implements AutoCloseable {
  /** System property with the number of the GPU to use; 0 without it. */
  public static final String DEVICE_PROPERTY = "spark.moe.cuda.device";

  /** One copies to the GPU, one is sorted there, one computes, one copies back. */
  static final int LANES = 4;

  private static final int ALIGNMENT = 256;

  /** Rows that fit into the grid of every kernel. */
  private static final int MOST_ROWS = 1 << 20;

  /** Of the memory, for the rows of a lane. */
  private static final int SHARE = 16 * LANES;

  private final Driver driver;
  private final DeviceInfo info;
  private final long context;
  private final Owned owned;
  private final DeviceMemory memory;
  private final Kernels kernels;
  private final List<Lane> lanes = new ArrayList<>();

  /** The one that was used last comes first: its buffers are there. */
  private final BlockingDeque<Lane> free = new LinkedBlockingDeque<>();

  /** Where memory from {@link #pinned} starts and ends. */
  private final ConcurrentSkipListMap<Long, Long> pinned = new ConcurrentSkipListMap<>();

  /** Ways for weights, which arrive while batches are computed; those that nobody uses. */
  private final Queue<Path> paths = new ConcurrentLinkedQueue<>();

  private record Path(Stream stream, Staging staging) {}

  private Gpu(Driver driver, DeviceInfo info, long context, Owned owned) {
    this.driver = driver;
    this.info = info;
    this.context = context;
    this.owned = owned;
    this.memory = new DeviceMemory(driver, info);
    this.kernels = Kernels.load(driver, info, owned);
    for (int number = 0; number < LANES; number++) {
      lanes.add(new Lane(this, owned));
    }
    free.addAll(lanes);
  }

  /**
   * Opens GPU {@code ordinal} and loads our kernels.
   *
   * @throws CudaException where there is none, or it cannot run them; the message says what is
   *     missing
   */
  static Gpu open(Driver driver, int ordinal) {
    CudaBindings cuda = driver.bindings();
    int result = driver.result("cuInit", cuda.init(), 0);
    if (result == Driver.NO_DEVICE) {
      throw new CudaException(
          "the NVIDIA driver sees no GPU (%s); use onednn, vector or auto"
              .formatted(driver.failure(result, "cuInit").getMessage()));
    }
    driver.check(result, "cuInit");
    DeviceInfo info = DeviceInfo.of(driver, ordinal);
    info.refusal()
        .ifPresent(
            reason -> {
              throw new CudaException(reason);
            });
    Owned owned = new Owned(driver);
    try {
      long context =
          driver.create("cuDevicePrimaryCtxRetain", cuda.devicePrimaryCtxRetain(), info.ordinal());
      owned.own(info.ordinal(), "cuDevicePrimaryCtxRelease", cuda.devicePrimaryCtxRelease());
      driver.call("cuCtxSetCurrent", cuda.ctxSetCurrent(), context);
      return new Gpu(driver, info, context, owned);
    } catch (CudaException e) {
      closeAfter(e, owned);
      throw e;
    }
  }

  private static void closeAfter(CudaException cause, Owned owned) {
    try {
      owned.close();
    } catch (CudaException e) {
      cause.addSuppressed(e);
    }
  }

  /**
   * Memory on the GPU that lives as long as {@code arena}. The segment is an address for kernels
   * and copies; the CPU cannot touch it.
   *
   * @throws CudaException where there is not enough, with what is free
   */
  @SuppressWarnings("restricted") // the size is what was allocated
  public MemorySegment allocate(long bytes, Arena arena) {
    long address = allocate(bytes);
    return MemorySegment.ofAddress(address)
        .reinterpret(
            bytes,
            arena,
            segment -> {
              enter();
              memory.giveBack(segment.address(), bytes);
            });
  }

  /**
   * Page-locked memory of the machine that lives as long as {@code arena}: the GPU reads and writes
   * it without help of the CPU.
   */
  @SuppressWarnings("restricted") // the size is what was allocated
  public MemorySegment pinned(long bytes, Arena arena) {
    enter();
    CudaBindings cuda = driver.bindings();
    long address = driver.create("cuMemHostAlloc", cuda.memHostAlloc(), Math.max(bytes, 1), 0);
    pinned.put(address, address + bytes);
    return MemorySegment.ofAddress(address)
        .reinterpret(
            bytes,
            arena,
            segment -> {
              enter();
              pinned.remove(segment.address());
              driver.call("cuMemFreeHost", cuda.memFreeHost(), segment.address());
            });
  }

  /** Whether all of {@code segment} is memory from {@link #pinned}, or nothing. */
  boolean isPinned(MemorySegment segment) {
    if (segment.byteSize() == 0) {
      return true;
    }
    if (!segment.isNative()) {
      return false;
    }
    Map.Entry<Long, Long> before = pinned.floorEntry(segment.address());
    return before != null && segment.address() + segment.byteSize() <= before.getValue();
  }

  /** As {@link #allocate(long, Arena)}, given back with {@link #free}. */
  long allocate(long bytes) {
    enter();
    return memory.allocate(bytes);
  }

  void free(long address) {
    enter();
    memory.free(address);
  }

  /** Bytes that nobody holds at this moment. */
  public long freeBytes() {
    enter();
    return memory.freeBytes();
  }

  /** Bytes of memory, used or not. */
  public long bytes() {
    return info.bytes();
  }

  /** {@code bytes} rounded up to what the parts of one allocation are aligned to. */
  public static long aligned(long bytes) {
    return Math.ceilDiv(bytes, ALIGNMENT) * ALIGNMENT;
  }

  /** Copies memory to the GPU and waits until it is there. */
  public void upload(MemorySegment from, long to) {
    try (Upload upload = upload()) {
      upload.put(from, to);
    }
  }

  /** Begins copies beside the batches that are computed. */
  Upload upload() {
    enter();
    Path path = paths.poll();
    if (path == null) {
      path = new Path(Stream.open(driver, owned), new Staging(this, owned));
    }
    return new Upload(path);
  }

  /** Copies that are waited for together. One thread at a time. */
  final class Upload implements AutoCloseable {
    private final Path path;

    private Upload(Path path) {
      this.path = path;
    }

    /** Memory that stays as it is until {@link #close}. */
    void put(MemorySegment from, long to) {
      path.staging().upload(path.stream(), from, to);
    }

    /** Waits until all is there. A way that failed is not used again. */
    @Override
    public void close() {
      path.stream().synchronize();
      paths.add(path);
    }
  }

  /** Batches that are under way at the same time, at most. */
  public int batches() {
    return lanes.size();
  }

  /** What computes with experts of {@code shape}. */
  public String kernels(GpuShape shape) {
    return kernels.products(shape).toString();
  }

  /**
   * Rows of a batch, at most, of experts of any type: so few that most of the memory is for
   * weights.
   */
  public int rowsAtOnce(int hidden, int intermediate) {
    long rowBytes = new GpuShape(DType.F32, hidden, intermediate, true).rowBytes();
    return Math.clamp(info.bytes() / SHARE / rowBytes, 1, MOST_ROWS);
  }

  /**
   * Takes a lane for one batch, and waits where there is none; closing the lane frees it. A thread
   * that holds a lane asks for another with {@link #laneIfFree} only.
   *
   * @throws CancellationException where the thread is interrupted while it waits
   */
  public Lane lane() {
    enter();
    try {
      return free.takeFirst();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw (CancellationException)
          new CancellationException("interrupted while waiting for the GPU").initCause(e);
    }
  }

  /** A lane for one batch, where that takes no waiting. */
  public Optional<Lane> laneIfFree() {
    enter();
    return Optional.ofNullable(free.pollFirst());
  }

  void leave(Lane lane) {
    free.addFirst(lane);
  }

  /** Makes the context that of the calling thread. */
  private void enter() {
    driver.call("cuCtxSetCurrent", driver.bindings().ctxSetCurrent(), context);
  }

  Driver driver() {
    return driver;
  }

  /** Rows that products with experts of {@code shape} compute together. */
  public int rowsTogether(GpuShape shape) {
    return kernels.products(shape).rowsTogether();
  }

  /** Why it multiplies no rows of FP8, or empty where it does. */
  public Optional<String> fp8Refusal() {
    return kernels.fp8().isPresent()
        ? Optional.empty()
        : Optional.of(
            "intermediates are quantized on GPUs of compute capability 9.0 with a driver for CUDA 12.3 or later, this is %s; give --activation-quant none, or use onednn, vector or auto"
                .formatted(info));
  }

  Kernels kernels() {
    return kernels;
  }

  /** The GPU, its driver, and what makes products in bf16 and f16. */
  @Override
  public String toString() {
    return "%s, %s kernels".formatted(info, kernels.products(DType.BF16));
  }

  /** Gives everything back, the context last. Only for one that is not shared with the process. */
  @Override
  public void close() {
    enter();
    lanes.forEach(Lane::free);
    paths.forEach(path -> path.staging().free());
    memory.freeKept();
    owned.close();
  }
}
