package org.sparkmoe.kernels.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class ExpertArenaTest {

  @ParameterizedTest
  @ValueSource(longs = {0, 1, 4096, (2 << 20) - 4096, 2 << 20, (5 << 20) + 3})
  void handsOutZeroedDisjointMemory(long bytes) {
    try (Arena arena = ExpertArena.ofBytes(2 * bytes)) {
      MemorySegment one = arena.allocate(bytes, 64);
      MemorySegment other = arena.allocate(bytes, 64);
      assertThat(one.byteSize()).isEqualTo(bytes);
      assertThat(one.address() % 64).isZero();
      assertThat(other.address() % 64).isZero();
      assertThat(other.mismatch(MemorySegment.ofArray(new byte[(int) bytes]))).isEqualTo(-1);
      one.fill((byte) 1);
      assertThat(other.mismatch(MemorySegment.ofArray(new byte[(int) bytes]))).isEqualTo(-1);
    }
  }

  @Test
  void servesMoreThanWasAnnounced() {
    try (Arena arena = ExpertArena.ofBytes(10)) {
      assertThat(arena.allocate(1 << 20, 64).fill((byte) 7).get(ValueLayout.JAVA_BYTE, 99999))
          .isEqualTo((byte) 7);
      assertThat(arena.allocate(10, 4096).address() % 4096).isZero();
    }
  }

  @Test
  void memoryEndsWithTheArena() {
    Arena arena = ExpertArena.ofBytes(3 << 20);
    MemorySegment memory = arena.allocate(3 << 20, 64);
    assertThat(arena.scope().isAlive()).isTrue();
    arena.close();
    assertThat(arena.scope().isAlive()).isFalse();
    assertThatThrownBy(() -> memory.get(ValueLayout.JAVA_BYTE, 0))
        .isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> arena.allocate(1, 1)).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(arena::close).isInstanceOf(IllegalStateException.class);
  }
}
