package org.sparkmoe.job.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.sparkmoe.kernels.bench.LayerProof;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.bench.Shape;
import org.sparkmoe.kernels.tensor.DType;

/**
 * The products of a layer and nothing else: per expert gate, up and down over as many rows as it
 * has tokens. No router, no gather, no activation, no weights: what a layer cannot be faster than
 * with that library's products.
 *
 * <p>The rows are ranges of {@code batch.x}, and the down projection is fed with what gate left.
 */
final class GemmFloor implements Contender {
  /** Rows of one call: as many as a library wants for its best, few enough to share out. */
  static final int MOST_ROWS = 1024;

  private final RandomLayer weights;
  private final Products products;
  private final Workers workers;
  private final Arena arena = Arena.ofShared();
  private final Buffers[] buffers;
  private boolean within;

  /** Products of one library; thread-safe. */
  interface Products extends AutoCloseable {
    String name();

    /**
     * Asks for {@code count} threads inside one product.
     *
     * @return how many it takes: 1 where products are single-threaded
     */
    int threads(int count);

    /**
     * {@code Y = X Wᵀ} by projection {@code projection} (w1, w3, w2) of {@code expert}.
     *
     * @param worker number of the calling thread
     */
    void multiply(
        int worker, int rows, MemorySegment x, int expert, int projection, MemorySegment y);

    @Override
    void close();
  }

  private record Item(int expert, int from, int rows) {}

  private record Buffers(MemorySegment gate, MemorySegment up, MemorySegment down) {}

  GemmFloor(RandomLayer weights, Products products, int threads) {
    this.weights = weights;
    this.products = products;
    this.workers = new Workers(threads);
    this.buffers = new Buffers[threads];
    Shape shape = weights.shape();
    for (int i = 0; i < threads; i++) {
      buffers[i] =
          new Buffers(rows(shape.intermediate()), rows(shape.intermediate()), rows(shape.hidden()));
    }
  }

  @Override
  public String name() {
    return products.name() + (within ? ", threads within a product" : "");
  }

  @Override
  public void run(Batch batch) {
    List<Item> items = items(batch);
    if (within) {
      items.forEach(item -> compute(0, item, batch));
      return;
    }
    AtomicInteger next = new AtomicInteger();
    workers.run(
        worker -> {
          for (int i = next.getAndIncrement(); i < items.size(); i = next.getAndIncrement()) {
            compute(worker, items.get(i), batch);
          }
        });
  }

  /** Lets threads share each product, or take experts each. */
  private void useThreads(boolean withinProducts) {
    within = withinProducts;
    products.threads(within ? workers.size() : 1);
  }

  private double seconds(boolean withinProducts, Batch batch) {
    useThreads(withinProducts);
    run(batch);
    long started = System.nanoTime();
    run(batch);
    return (System.nanoTime() - started) / 1e9;
  }

  /** Compares the last row of the largest item with SCALAR, then settles how threads are used. */
  @Override
  public void prove(Batch batch) {
    List<Item> items = items(batch);
    Item item = items.getFirst();
    compute(0, item, batch);
    Shape shape = weights.shape();
    int last = item.rows() - 1;
    MemorySegment x = row(x(item, batch), last, shape.hidden());
    MemorySegment gate = row(buffers[0].gate(), last, shape.intermediate());
    checkRow(item, 0, x, gate);
    checkRow(item, 1, x, row(buffers[0].up(), last, shape.intermediate()));
    checkRow(item, 2, gate, row(buffers[0].down(), last, shape.hidden()));
    // The floor is the faster of the two ways to use the threads, where there are two.
    boolean two = products.threads(workers.size()) > 1;
    useThreads(two && seconds(true, batch) < seconds(false, batch));
  }

  @Override
  public void close() {
    workers.close();
    products.close();
    arena.close();
  }

  private void compute(int worker, Item item, Batch batch) {
    Buffers b = buffers[worker];
    int rows = item.rows();
    MemorySegment x = x(item, batch);
    products.multiply(worker, rows, x, item.expert(), 0, b.gate());
    products.multiply(worker, rows, x, item.expert(), 1, b.up());
    products.multiply(worker, rows, b.gate(), item.expert(), 2, b.down());
  }

  private MemorySegment x(Item item, Batch batch) {
    long rowBytes = DType.F32.bytes(weights.shape().hidden());
    return batch.x().asSlice(item.from() * rowBytes, item.rows() * rowBytes);
  }

  /** Largest first, so that threads end together. */
  private static List<Item> items(Batch batch) {
    List<Item> items = new ArrayList<>();
    for (int expert = 0; expert < batch.rows().length; expert++) {
      for (int from = 0; from < batch.rows()[expert]; from += MOST_ROWS) {
        items.add(new Item(expert, from, Math.min(MOST_ROWS, batch.rows()[expert] - from)));
      }
    }
    items.sort((a, b) -> Integer.compare(b.rows(), a.rows()));
    return items;
  }

  private void checkRow(Item item, int projection, MemorySegment x, MemorySegment found) {
    LayerProof.checkProduct(
        "%s is wrong: projection %d of expert %d".formatted(name(), projection, item.expert()),
        x,
        weights.wide(item.expert())[projection],
        found,
        LayerProof.PEER);
  }

  private MemorySegment rows(int cols) {
    return arena.allocate(DType.F32.bytes((long) MOST_ROWS * cols), 64);
  }

  private static MemorySegment row(MemorySegment data, int row, int cols) {
    return data.asSlice(DType.F32.bytes((long) row * cols), DType.F32.bytes(cols));
  }
}
