package org.sparkmoe.kernels.team;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
final class TeamTest {

  @ParameterizedTest
  @CsvSource({"1,0", "1,7", "2,0", "2,1", "2,1000", "5,3", "5,1000"})
  void doesEveryItemOnceWithMembersOfItsOwn(int members, int items) {
    try (Team team = Team.of(members)) {
      AtomicIntegerArray done = new AtomicIntegerArray(items);
      AtomicIntegerArray busy = new AtomicIntegerArray(members);
      AtomicInteger clashes = new AtomicInteger();
      team.run(
          items,
          (item, member) -> {
            if (busy.getAndSet(member, 1) != 0) {
              clashes.incrementAndGet();
            }
            done.incrementAndGet(item);
            busy.set(member, 0);
          });
      assertThat(clashes).hasValue(0);
      for (int item = 0; item < items; item++) {
        assertThat(done.get(item)).as("item %d", item).isEqualTo(1);
      }
    }
  }

  @Test
  void membersWorkAtTheSameTime() {
    try (Team team = Team.of(3)) {
      CountDownLatch met = new CountDownLatch(3);
      var threads = ConcurrentHashMap.<Thread>newKeySet();
      team.run(
          3,
          (item, member) -> {
            threads.add(Thread.currentThread());
            met.countDown();
            await(met);
          });
      assertThat(threads).hasSize(3).contains(Thread.currentThread());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 4})
  void throwsTheFailureAndStaysUsable(int members) {
    try (Team team = Team.of(members)) {
      IllegalStateException failure = new IllegalStateException("item 3");
      assertThatThrownBy(
              () ->
                  team.run(
                      10_000,
                      (item, member) -> {
                        if (item == 3) {
                          throw failure;
                        }
                      }))
          .isSameAs(failure);
      AtomicInteger done = new AtomicInteger();
      team.run(10, (item, member) -> done.incrementAndGet());
      assertThat(done).hasValue(10);
    }
  }

  @Test
  void anInterruptWaitsUntilAllItemsAreDone() {
    try (Team team = Team.of(2)) {
      AtomicInteger done = new AtomicInteger();
      Thread.currentThread().interrupt();
      team.run(50, (item, member) -> done.incrementAndGet());
      assertThat(done).hasValue(50);
      assertThat(Thread.interrupted()).isTrue();
    }
  }

  @ParameterizedTest
  @CsvSource({"0,5,3", "1,5,3", "2,17,5", "3,1,64", "4,1000,7"})
  void stretchesCoverARangeOnce(int members, int count, int length) {
    try (Team team = Team.of(Math.max(1, members))) {
      AtomicIntegerArray done = new AtomicIntegerArray(count);
      team.stretches(
          count,
          length,
          (from, to, member) -> {
            assertThat(to - from).isBetween(1, length);
            for (int i = from; i < to; i++) {
              done.incrementAndGet(i);
            }
          });
      for (int i = 0; i < count; i++) {
        assertThat(done.get(i)).as("%d", i).isEqualTo(1);
      }
    }
  }

  @Test
  void sharesGrowWithWhatThereIsAndKeepTheirBounds() {
    try (Team team = Team.of(3)) {
      int before = 0;
      for (int count = 0; count < 5000; count++) {
        int share = team.share(count, 32, 256);
        assertThat(share).isBetween(before, Math.min(count, 256));
        before = share;
      }
      assertThat(team.share(20, 32, 256)).isEqualTo(20);
      assertThat(team.share(600, 32, 256)).isEqualTo(100);
      assertThat(Team.SOLO.share(600, 32, 256)).isEqualTo(256);
    }
  }

  @Test
  void aTeamHasAtLeastOneMember() {
    assertThatThrownBy(() -> Team.of(0)).hasMessageContaining("at least 1");
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
