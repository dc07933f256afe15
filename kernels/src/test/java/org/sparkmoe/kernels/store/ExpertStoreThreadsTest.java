package org.sparkmoe.kernels.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.sparkmoe.kernels.store.Packings.BYTES;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.experts.DispatchedTokens;
import org.sparkmoe.kernels.experts.ExpertLease;
import org.sparkmoe.kernels.experts.ExpertLoad;
import org.sparkmoe.kernels.experts.FusedExperts;
import org.sparkmoe.kernels.experts.PreparedExpert;
import org.sparkmoe.kernels.experts.ScalarExpertKernel;
import org.sparkmoe.kernels.experts.StandardExperts;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.tensor.Workspace;

/** What threads see of a store that they share. A test that hangs has failed. */
@Timeout(60)
final class ExpertStoreThreadsTest {
  private static final int THREADS = 12;

  private final ExecutorService pool = Executors.newCachedThreadPool();

  @AfterEach
  void stop() {
    pool.close();
  }

  private List<Future<?>> start(int threads, Callable<?> task) {
    List<Future<?>> started = new ArrayList<>();
    for (int i = 0; i < threads; i++) {
      started.add(pool.submit(task));
    }
    return started;
  }

  private static void await(List<Future<?>> tasks) throws Exception {
    for (Future<?> task : tasks) {
      task.get();
    }
  }

  /** Waits until a thread waits: only then is what it waits for worth giving. */
  private static void awaitWaiting(Thread thread) throws InterruptedException {
    while (thread.getState() != Thread.State.WAITING) {
      Thread.sleep(1);
    }
  }

  @Test
  void packsOnceForAllWhoAskAtTheSameTime() throws Exception {
    CountDownLatch all = new CountDownLatch(THREADS);
    Packings packings = new Packings();
    try (StoredExperts layer = ExpertStore.unbounded().open(3, packings)) {
      await(
          start(
              THREADS,
              () -> {
                all.countDown();
                all.await();
                for (int id = 0; id < 3; id++) {
                  layer.acquire(id).close();
                }
                return null;
              }));
      assertThat(packings.ids()).containsExactlyInAnyOrder(0, 1, 2);
    }
  }

  @Test
  void differentExpertsArePackedAtTheSameTime() throws Exception {
    CountDownLatch both = new CountDownLatch(2);
    Packings meeting =
        new Packings(
            id -> {
              both.countDown();
              awaitDown(both);
            });
    try (StoredExperts layer = ExpertStore.unbounded().open(2, meeting)) {
      AtomicInteger next = new AtomicInteger();
      await(
          start(
              2,
              () -> {
                layer.acquire(next.getAndIncrement()).close();
                return null;
              }));
      assertThat(meeting.ids()).hasSize(2);
    }
  }

  @Test
  void waitsForRoomAndWakesUp() throws Exception {
    try (StoredExperts layer = ExpertStore.ofBytes(BYTES).open(2, new Packings())) {
      ExpertLease only = layer.acquire(0);
      Thread waiting = new Thread(() -> layer.acquire(1).close());
      waiting.start();
      awaitWaiting(waiting);
      only.close();
      waiting.join();
    }
  }

  @Test
  void raisingTheBudgetEndsTheWait() throws Exception {
    ExpertStore store = ExpertStore.ofBytes(BYTES);
    try (StoredExperts layer = store.open(2, new Packings());
        ExpertLease only = layer.acquire(0)) {
      Thread waiting = new Thread(() -> layer.acquire(1).close());
      waiting.start();
      awaitWaiting(waiting);
      store.limit(2 * BYTES);
      waiting.join();
      assertThat(only.expert()).isNotNull();
    }
  }

  @Test
  void whoWaitsForAFailedPackingPacksItself() throws Exception {
    CountDownLatch asked = new CountDownLatch(1);
    AtomicInteger attempts = new AtomicInteger();
    Thread[] second = new Thread[1];
    Packings failsOnce =
        new Packings(
            id -> {
              if (attempts.incrementAndGet() == 1) {
                try {
                  asked.countDown();
                  awaitWaiting(second[0]);
                } catch (InterruptedException e) {
                  throw new AssertionError(e);
                }
                throw new IllegalArgumentException("broken");
              }
            });
    try (StoredExperts layer = ExpertStore.unbounded().open(1, failsOnce)) {
      second[0] =
          new Thread(
              () -> {
                try {
                  asked.await();
                } catch (InterruptedException e) {
                  throw new AssertionError(e);
                }
                layer.acquire(0).close();
              });
      Future<?> first = pool.submit(() -> layer.acquire(0));
      asked.await();
      second[0].start();
      assertThatThrownBy(first::get)
          .isInstanceOf(ExecutionException.class)
          .hasRootCauseMessage("broken");
      second[0].join();
      assertThat(failsOnce.ids()).containsExactly(0);
    }
  }

  @Test
  void aWaitEndsWithAnInterrupt() throws Exception {
    ExpertStore store = ExpertStore.ofBytes(BYTES);
    try (StoredExperts layer = store.open(2, new Packings());
        ExpertLease only = layer.acquire(0)) {
      Throwable[] thrown = new Throwable[1];
      Thread waiting = new Thread(() -> layer.acquire(1));
      waiting.setUncaughtExceptionHandler((thread, failure) -> thrown[0] = failure);
      waiting.start();
      awaitWaiting(waiting);
      waiting.interrupt();
      waiting.join();
      assertThat(thrown[0]).isInstanceOf(CancellationException.class);
      assertThat(store.statistics().bytes()).isEqualTo(BYTES);
      assertThat(only.expert()).isNotNull();
    }
  }

  @Test
  void closingWaitsForTheLastLease() throws Exception {
    StoredExperts layer = ExpertStore.unbounded().open(2, new Packings());
    ExpertLease lease = layer.acquire(0);
    Thread closing = new Thread(layer::close);
    closing.start();
    awaitWaiting(closing);
    assertThatThrownBy(() -> layer.acquire(1)).hasMessageContaining("closed");
    assertThat(value(lease.expert())).isZero();
    lease.close();
    closing.join();
  }

  /** Far more threads than room, and every lease reads the weights that it was promised. */
  @Test
  void moreThreadsThanRoomComeToAnEnd() throws Exception {
    long seed = 61;
    for (int room = 1; room <= 3; room++) {
      ExpertStore store = ExpertStore.ofBytes(room * BYTES + 7);
      Packings packings = new Packings();
      AtomicInteger number = new AtomicInteger();
      try (StoredExperts layer = store.open(8, packings)) {
        layer.pin(7);
        await(
            start(
                THREADS,
                () -> {
                  Random random = new Random(seed + number.getAndIncrement());
                  for (int i = 0; i < 300; i++) {
                    int id = random.nextInt(8);
                    try (ExpertLease lease = layer.acquire(id)) {
                      assertThat(value(lease.expert())).as("seed %d", seed).isEqualTo(id);
                    }
                  }
                  return null;
                }));
        StoreStatistics statistics = store.statistics();
        assertThat(statistics.peakBytes()).isEqualTo(room * BYTES + 7);
        assertThat(statistics.packed() + statistics.hits()).isEqualTo(THREADS * 300L);
        assertThat(statistics.packed() - statistics.evicted()).isEqualTo(room);
        assertThat(packings.ids()).hasSize((int) statistics.packed());
      }
      assertThat(store.statistics().bytes()).isZero();
    }
  }

  /** The weight that {@link Packings} gave the expert: w2 · silu(w1) · w3 for an input of 1. */
  private static double value(PreparedExpert expert) {
    float[] y = new float[1];
    new ScalarExpertKernel()
        .forward(
            expert,
            1,
            MemorySegment.ofArray(new float[] {1}),
            MemorySegment.ofArray(y),
            Workspace.ofBytes(0));
    for (int id = 0; id < 8; id++) {
      if ((float) (id * (id / (1 + Math.exp(-id)) * id)) == y[0]) {
        return id;
      }
    }
    throw new AssertionError("no expert computes " + y[0]);
  }

  @Test
  void tasksThatStartTogetherPackDifferentExperts() throws Exception {
    CountDownLatch second = new CountDownLatch(1);
    Packings packings =
        new Packings(
            id -> {
              if (id == 1) {
                second.countDown();
              } else {
                awaitDown(second);
              }
            });
    TokenRoutes routes = TokenRoutes.uniform(1, 2, new int[] {0, 1}, new float[] {1, 1});
    try (StoredExperts layer = ExpertStore.unbounded().open(2, packings)) {
      await(
          start(
              2,
              () -> {
                MemorySegment x = MemorySegment.ofArray(new float[] {1});
                MemorySegment out = MemorySegment.ofArray(new float[2]);
                FusedExperts experts =
                    new StandardExperts(new ScalarExpertKernel(), WeightAndReduce.DELEGATE);
                Workspace ws = Workspace.ofBytes(experts.workspaceBytes(new ExpertLoad(2, 1, 1)));
                experts.apply(
                    new DispatchedTokens.Standard(routes, 1, x), ExpertMap.all(2), layer, ws, out);
                return null;
              }));
    }
    assertThat(packings.ids()).as("the first to be packed waits for the other").contains(0, 1);
  }

  private static void awaitDown(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
