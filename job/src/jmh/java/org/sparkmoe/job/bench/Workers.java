package org.sparkmoe.job.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntConsumer;

/** A fixed team of threads. */
final class Workers implements AutoCloseable {
  private final int size;
  private final ExecutorService pool;

  Workers(int size) {
    this.size = size;
    this.pool = Executors.newFixedThreadPool(size, Thread.ofPlatform().daemon().factory());
  }

  int size() {
    return size;
  }

  /** Runs {@code body} once for each worker number, on as many threads, and waits for all. */
  void run(IntConsumer body) {
    List<Callable<Void>> calls = new ArrayList<>(size);
    for (int worker = 0; worker < size; worker++) {
      int number = worker;
      calls.add(
          () -> {
            body.accept(number);
            return null;
          });
    }
    try {
      for (Future<Void> call : pool.invokeAll(calls)) {
        call.get();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    } catch (ExecutionException e) {
      throw new IllegalStateException(e.getCause());
    }
  }

  @Override
  public void close() {
    pool.shutdownNow();
  }
}
