package org.sparkmoe.udfs.executor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
final class OverlappedRowsTest {
  private static final AtomicLong ATTEMPTS = new AtomicLong(4711);

  private final long attempt = ATTEMPTS.incrementAndGet();
  private final KernelThread kernels = new KernelThread(attempt);

  @AfterEach
  void noThreadStays() throws InterruptedException {
    kernels.close();
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      if (thread.getName().equals("moe-kernels-" + attempt)) {
        assertThat(thread.join(Duration.ofSeconds(30))).as("%s ends", thread).isTrue();
      }
    }
  }

  /** Numbers that are read in batches, doubled, and handed out. */
  private class Doubled extends OverlappedRows<List<Integer>> {
    private final int[] sizes;
    private int batches;
    private int next;

    private Doubled(int... sizes) {
      super(kernels, new ArrayList<>(), new ArrayList<>());
      this.sizes = sizes;
    }

    @Override
    protected boolean read(List<Integer> batch) {
      batch.clear();
      if (batches == sizes.length) {
        return false;
      }
      for (int i = 0; i < sizes[batches]; i++) {
        batch.add(next++);
      }
      batches++;
      return true;
    }

    @Override
    protected void compute(List<Integer> batch) {
      batch.replaceAll(value -> 2 * value);
    }

    @Override
    protected int rows(List<Integer> batch) {
      return batch.size();
    }

    @Override
    protected Row row(List<Integer> batch, int index) {
      return RowFactory.create(batch.get(index));
    }

    private List<Integer> all() {
      List<Integer> all = new ArrayList<>();
      forEachRemaining(row -> all.add(row.getInt(0)));
      return all;
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "3", "0", "2,2", "1,0,0,3", "0,5,1", "4,3,2,1,0"})
  void rowsComeInOrder(String sizes) {
    int[] batches =
        sizes.isEmpty()
            ? new int[0]
            : List.of(sizes.split(",")).stream().mapToInt(Integer::parseInt).toArray();
    List<Integer> expected =
        IntStream.range(0, IntStream.of(batches).sum()).mapToObj(value -> 2 * value).toList();
    Doubled rows = new Doubled(batches);
    assertThat(rows.all()).isEqualTo(expected);
    assertThat(rows.hasNext()).isFalse();
  }

  @Test
  void theNextBatchIsReadWhileOneIsComputed() {
    CountDownLatch secondRead = new CountDownLatch(2);
    Doubled rows =
        new Doubled(2, 2) {
          @Override
          protected boolean read(List<Integer> batch) {
            secondRead.countDown();
            return super.read(batch);
          }

          @Override
          protected void compute(List<Integer> batch) {
            awaitIt(secondRead);
            super.compute(batch);
          }
        };
    assertThat(rows.all()).containsExactly(0, 2, 4, 6);
  }

  @Test
  void whatTheKernelsThrowReachesTheTask() {
    IllegalArgumentException failure = new IllegalArgumentException("expert 3 is broken");
    Doubled rows =
        new Doubled(1, 1) {
          @Override
          protected void compute(List<Integer> batch) {
            throw failure;
          }
        };
    assertThatThrownBy(rows::hasNext).isSameAs(failure);
  }

  @Test
  void aTaskThatIsCancelledStopsWaiting() {
    CountDownLatch free = new CountDownLatch(1);
    kernels.start(() -> awaitIt(free));
    Thread.currentThread().interrupt();
    assertThatThrownBy(kernels::await).hasMessageContaining("cancelled");
    assertThat(Thread.interrupted()).isTrue();
    free.countDown();
  }

  @Test
  void closingWaitsForTheBatch() {
    CountDownLatch begun = new CountDownLatch(1);
    CountDownLatch closing = new CountDownLatch(1);
    List<String> events = new ArrayList<>();
    kernels.start(
        () -> {
          begun.countDown();
          awaitIt(closing);
          events.add("computed");
        });
    awaitIt(begun);
    closing.countDown();
    kernels.close();
    events.add("closed");
    assertThat(events).containsExactly("computed", "closed");
  }

  private static void awaitIt(CountDownLatch latch) {
    try {
      assertThat(latch.await(30, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
