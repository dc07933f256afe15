package org.sparkmoe.kernels.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.sparkmoe.kernels.store.Packings.BYTES;

import java.lang.foreign.Arena;
import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.experts.ExpertLease;
import org.sparkmoe.kernels.experts.PreparedExpert;

/** What one thread sees of a store. */
final class ExpertStoreTest {
  private final Packings packings = new Packings();

  private static void use(StoredExperts layer, int... ids) {
    for (int id : ids) {
      layer.acquire(id).close();
    }
  }

  @Test
  void packsOnFirstUseAndKeeps() {
    ExpertStore store = ExpertStore.unbounded();
    try (StoredExperts layer = store.open(4, packings)) {
      assertThat(packings.ids()).isEmpty();
      PreparedExpert first;
      try (ExpertLease lease = layer.acquire(2)) {
        first = lease.expert();
      }
      try (ExpertLease lease = layer.acquire(2);
          ExpertLease another = layer.acquire(2)) {
        assertThat(lease.expert()).isSameAs(first).isSameAs(another.expert());
      }
      assertThat(packings.ids()).containsExactly(2);
      assertThat(store.statistics()).isEqualTo(new StoreStatistics(1, 0, 2, BYTES, BYTES));
    }
    assertThat(store.statistics().bytes()).isZero();
  }

  @Test
  void theLongestUnusedGoesFirst() {
    ExpertStore store = ExpertStore.ofBytes(3 * BYTES);
    try (StoredExperts layer = store.open(5, packings)) {
      use(layer, 0, 1, 2, 0, 3); // 1 goes for 3
      use(layer, 0, 2, 3);
      assertThat(packings.ids()).containsExactly(0, 1, 2, 3);
      use(layer, 1); // 0 goes for 1
      use(layer, 2, 3, 0); // 1 was used before them, but 2 and 3 after: 1 goes for 0
      assertThat(packings.ids()).containsExactly(0, 1, 2, 3, 1, 0);
      assertThat(store.statistics()).isEqualTo(new StoreStatistics(6, 3, 6, 3 * BYTES, 3 * BYTES));
    }
  }

  @Test
  void anExpertOnLoanStays() {
    ExpertStore store = ExpertStore.ofBytes(2 * BYTES);
    try (StoredExperts layer = store.open(4, packings)) {
      ExpertLease oldest = layer.acquire(0);
      use(layer, 1, 2, 3, 0);
      assertThat(packings.ids()).containsExactly(0, 1, 2, 3);
      oldest.close();
      use(layer, 2);
      assertThat(store.statistics().evicted()).isEqualTo(3);
    }
  }

  @Test
  void evictionFreesTheMemory() {
    ExpertStore store = ExpertStore.ofBytes(BYTES);
    Arena[] arena = new Arena[1];
    ExpertPacker keepsArena =
        (id, room) ->
            packings.pack(
                id,
                bytes -> {
                  Arena reserved = room.reserve(bytes);
                  arena[0] = arena[0] == null ? reserved : arena[0];
                  return reserved;
                });
    try (StoredExperts layer = store.open(2, keepsArena)) {
      use(layer, 0);
      assertThat(arena[0].scope().isAlive()).isTrue();
      use(layer, 1);
      assertThat(arena[0].scope().isAlive()).isFalse();
    }
  }

  @Test
  void idleLayersGiveWayFirst() {
    ExpertStore store = ExpertStore.ofBytes(3 * BYTES);
    Packings others = new Packings();
    try (StoredExperts layer = store.open(3, packings);
        StoredExperts other = store.open(3, others)) {
      use(layer, 0);
      use(other, 0, 1);
      other.setIdle(true);
      use(layer, 1, 2); // both of the idle layer go, though 0 here is older
      use(layer, 0);
      assertThat(packings.ids()).containsExactly(0, 1, 2);
      other.setIdle(false);
      use(other, 0); // 1 here is the oldest now
      use(layer, 2, 0);
      assertThat(packings.ids()).containsExactly(0, 1, 2);
      assertThat(others.ids()).containsExactly(0, 1, 0);
    }
  }

  @Test
  void countsWhatIsHeldToTheByte() {
    ExpertStore store = ExpertStore.ofBytes(1000);
    ExpertPacker reservesMore = (id, room) -> packings.pack(id, bytes -> room.reserve(bytes + 88));
    try (StoredExperts layer = store.open(3, reservesMore)) {
      assertThat(layer.pin(100).scope().isAlive()).isTrue();
      use(layer, 0, 1);
      assertThat(store.statistics().bytes()).isEqualTo(100 + 2 * BYTES);
      assertThat(store.statistics().peakBytes()).isEqualTo(100 + 2 * BYTES + 88);
    }
    assertThat(store.statistics().bytes()).isZero();
  }

  @Test
  void refusesWhatCouldNeverFit() {
    ExpertStore store = ExpertStore.ofBytes(2 * BYTES);
    try (StoredExperts layer = store.open(2, packings)) {
      assertThatThrownBy(() -> layer.pin(25))
          .hasMessageContaining("25 bytes of weights do not fit");
      layer.pin(BYTES + 1);
      assertThatThrownBy(() -> layer.acquire(0))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage(
              "12 bytes of weights do not fit into a store of 24, of which 13 are pinned;"
                  + " raise its budget");
      assertThat(store.statistics().bytes()).isEqualTo(BYTES + 1);
      store.limit(100);
      use(layer, 0, 1);
    }
  }

  @Test
  void refusesAnExpertLargerThanItsRoom() {
    ExpertStore store = ExpertStore.unbounded();
    try (StoredExperts layer =
        store.open(1, (id, room) -> packings.pack(id, bytes -> room.reserve(bytes - 1)))) {
      assertThatThrownBy(() -> layer.acquire(0))
          .hasMessage("expert 0 holds 12 bytes, the room reserved for it is 11");
      assertThat(store.statistics().bytes()).isZero();
    }
  }

  @Test
  void aLowerLimitTakesEffectAtOnce() {
    ExpertStore store = ExpertStore.unbounded();
    try (StoredExperts layer = store.open(4, packings);
        ExpertLease kept = layer.acquire(0)) {
      use(layer, 1, 2, 3);
      store.limit(2 * BYTES);
      assertThat(store.statistics().bytes()).isEqualTo(2 * BYTES);
      use(layer, 3);
      assertThat(packings.ids()).containsExactly(0, 1, 2, 3);
      assertThat(kept.expert()).isNotNull();
    }
  }

  @Test
  void aFailedPackingIsTriedAgain() {
    boolean[] broken = {true};
    Packings failing =
        new Packings(
            id -> {
              if (broken[0]) {
                throw new IllegalArgumentException("broken");
              }
            });
    ExpertStore store = ExpertStore.ofBytes(BYTES);
    try (StoredExperts layer = store.open(1, failing)) {
      for (int attempt = 0; attempt < 2; attempt++) {
        assertThatThrownBy(() -> layer.acquire(0)).hasMessage("broken");
      }
      broken[0] = false;
      use(layer, 0);
      assertThat(store.statistics()).isEqualTo(new StoreStatistics(1, 0, 0, BYTES, BYTES));
    }
  }

  @Test
  void closedLayersLendNothing() {
    ExpertStore store = ExpertStore.unbounded();
    StoredExperts layer = store.open(1, packings);
    Arena pinned = layer.pin(5);
    use(layer, 0);
    layer.close();
    layer.close();
    assertThat(pinned.scope().isAlive()).isFalse();
    assertThatThrownBy(() -> layer.acquire(0))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("closed");
    assertThatThrownBy(() -> layer.pin(1)).hasMessageContaining("closed");
    assertThat(store.statistics().bytes()).isZero();
  }

  @Test
  void aLeaseIsClosedOnce() {
    try (StoredExperts layer = ExpertStore.unbounded().open(1, packings)) {
      ExpertLease lease = layer.acquire(0);
      lease.close();
      assertThatThrownBy(lease::close).hasMessage("expert 0 is not on loan");
    }
  }

  @Test
  void packsWithoutWaitingWhereThereIsRoom() {
    ExpertStore store = ExpertStore.ofBytes(2 * BYTES);
    try (StoredExperts layer = store.open(4, packings)) {
      assertThat(layer.capacity()).as("nothing is known yet").isEqualTo(Integer.MAX_VALUE);
      ExpertLease first = layer.acquireIfRoom(0).orElseThrow();
      assertThat(layer.capacity()).isEqualTo(2);
      try (ExpertLease second = layer.acquireIfRoom(1).orElseThrow()) {
        assertThat(second.expert()).isNotNull();
        assertThat(layer.acquireIfRoom(2)).as("all is on loan").isEmpty();
        assertThat(packings.ids()).as("nothing was read").containsExactly(0, 1);
        first.close();
        try (ExpertLease third = layer.acquireIfRoom(2).orElseThrow()) {
          assertThat(third.expert()).isNotNull();
        }
        assertThat(packings.ids()).containsExactly(0, 1, 2);
      }
      assertThat(store.statistics().peakBytes()).isEqualTo(2 * BYTES);
    }
  }

  @Test
  void roomThatAnotherTookMeanwhileLeavesNoTrace() {
    ExpertStore store = ExpertStore.ofBytes(BYTES);
    StoredExperts[] layers = new StoredExperts[1];
    ExpertLease[] other = new ExpertLease[1];
    Packings taking =
        new Packings(
            id -> {
              if (id == 1 && other[0] == null) {
                other[0] = layers[0].acquire(2);
              }
            });
    try (StoredExperts layer = store.open(4, taking)) {
      layers[0] = layer;
      assertThat(layer.acquireIfRoom(1)).isEmpty();
      assertThat(store.statistics().bytes()).isEqualTo(BYTES);
      other[0].close();
      use(layer, 1);
      assertThat(taking.ids()).as("2 while 1 was about to be").containsExactly(2, 1, 1);
    }
  }
}
