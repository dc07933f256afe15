package org.sparkmoe.kernels.team;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A fixed number of threads that work through numbered items together: the caller and, in a team of
 * more than one, threads that wait for it. Who takes which item depends on who is free, so an item
 * must not depend on another, nor a result on the member that made it.
 *
 * <p>One {@link #run} at a time. Close a team when its task ends.
 */
public final class Team implements AutoCloseable {
  /** The calling thread alone. Shared by everybody, never closed. */
  public static final Team SOLO = new Team(1, null);

  private final int members;
  private final ExecutorService othersOrNull;

  private Team(int members, ExecutorService othersOrNull) {
    this.members = members;
    this.othersOrNull = othersOrNull;
  }

  /**
   * A team.
   *
   * @param members threads, the caller included; at least 1
   */
  public static Team of(int members) {
    if (members < 1) {
      throw new IllegalArgumentException("a team of " + members + " threads: at least 1 is needed");
    }
    if (members == 1) {
      return SOLO;
    }
    ThreadFactory daemons = Thread.ofPlatform().daemon().name("spark-moe-kernel-", 1).factory();
    return new Team(members, Executors.newFixedThreadPool(members - 1, daemons));
  }

  /** One item of work. */
  @FunctionalInterface
  public interface Work {
    /**
     * Does item {@code item}.
     *
     * @param member number of the thread, 0 (the caller) to members − 1; no two threads that run at
     *     the same time have the same
     */
    void item(int item, int member);
  }

  /** A stretch of a larger range. */
  @FunctionalInterface
  public interface Stretch {
    /** Does {@code from} ≤ i &lt; {@code to}, as member {@code member}. */
    void range(int from, int to, int member);
  }

  /** Threads, the caller included. */
  public int members() {
    return members;
  }

  /**
   * Does items 0 to {@code items} − 1 and returns when all are done, also when the caller is
   * interrupted meanwhile: the memory they use is the caller's. After a failure no further item is
   * begun; the failure is thrown here, others added to it.
   */
  public void run(int items, Work work) {
    if (othersOrNull == null || items < 2) {
      for (int item = 0; item < items; item++) {
        work.item(item, 0);
      }
      return;
    }
    new Round(items, work).run();
  }

  /** Does 0 ≤ i &lt; {@code count} in stretches of {@code length}, the last one shorter. */
  public void stretches(int count, int length, Stretch work) {
    if (count > 0) {
      run(
          Math.ceilDiv(count, length),
          (item, member) ->
              work.range(item * length, Math.min(count, (item + 1) * length), member));
    }
  }

  /**
   * A length of stretches at which every member gets about two of {@code count}, but between {@code
   * least} and {@code most}. It grows with {@code count}, and is no larger.
   */
  public int share(int count, int least, int most) {
    int even = members == 1 ? most : Math.ceilDiv(count, 2 * members);
    return Math.min(count, Math.clamp(even, least, most));
  }

  @Override
  public void close() {
    if (othersOrNull != null) {
      othersOrNull.close();
    }
  }

  private final class Round {
    private final int items;
    private final Work work;
    private final AtomicInteger next = new AtomicInteger();
    private final List<Throwable> failures = new ArrayList<>();
    private final CountDownLatch others;

    private Round(int items, Work work) {
      this.items = items;
      this.work = work;
      this.others = new CountDownLatch(Math.min(members, items) - 1);
    }

    private void run() {
      int helpers = (int) others.getCount();
      for (int member = 1; member <= helpers; member++) {
        int number = member;
        othersOrNull.execute(
            () -> {
              workAs(number);
              others.countDown();
            });
      }
      workAs(0);
      awaitOthers();
      rethrow();
    }

    private void workAs(int member) {
      try {
        for (int item = next.getAndIncrement(); item < items; item = next.getAndIncrement()) {
          work.item(item, member);
        }
      } catch (Throwable failure) {
        next.set(items);
        synchronized (failures) {
          failures.add(failure);
        }
      }
    }

    private void awaitOthers() {
      boolean interrupted = false;
      while (true) {
        try {
          others.await();
          break;
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }

    private void rethrow() {
      if (failures.isEmpty()) {
        return;
      }
      Throwable first = failures.getFirst();
      failures.stream().skip(1).filter(more -> !more.equals(first)).forEach(first::addSuppressed);
      switch (first) {
        case RuntimeException e -> throw e;
        case Error e -> throw e;
        // Work throws no checked exception, except one smuggled past the compiler.
        default -> throw new IllegalStateException(first);
      }
    }
  }
}
