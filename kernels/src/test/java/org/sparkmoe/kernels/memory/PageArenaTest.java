package org.sparkmoe.kernels.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class PageArenaTest {
  private static final Path MAPS = Path.of("/proc/self/maps");

  @ParameterizedTest
  @ValueSource(longs = {0, 1, 4096, (2 << 20) - 4096, 2 << 20, (5 << 20) + 3})
  void handsOutZeroedDisjointMemory(long bytes) {
    try (Arena arena = PageArena.ofBytes(2 * bytes)) {
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
    try (Arena arena = PageArena.ofBytes(10)) {
      assertThat(arena.allocate(1 << 20, 64).fill((byte) 7).get(ValueLayout.JAVA_BYTE, 99999))
          .isEqualTo((byte) 7);
      assertThat(arena.allocate(10, 4096).address() % 4096).isZero();
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, (256 << 10) - 1, 256 << 10, (5 << 20) + 3})
  void handsOutZeroedMemoryOfAnySize(long bytes) {
    try (Arena arena = PageArena.ofShared()) {
      MemorySegment one = arena.allocate(bytes, 64);
      MemorySegment other = arena.allocate(bytes, 8192);
      assertThat(one.byteSize()).isEqualTo(bytes);
      assertThat(one.address() % 64).isZero();
      assertThat(other.address() % 8192).isZero();
      one.fill((byte) 1);
      assertThat(other.mismatch(MemorySegment.ofArray(new byte[(int) bytes]))).isEqualTo(-1);
    }
  }

  @Test
  void givesLargeMemoryBackToTheSystem() {
    assumeThat(MAPS).as("this system does not tell what a process has mapped").exists();
    long bytes = 64 << 20;
    Arena arena = PageArena.ofShared();
    long first = arena.allocate(bytes, 64).address();
    assertThat(covered(first, bytes)).isTrue();
    arena.close();
    assertThat(covered(first, bytes)).isFalse();
  }

  /** Whether one mapping of this process has all {@code bytes} from {@code first} on. */
  private static boolean covered(long first, long bytes) {
    try (Stream<String> lines = Files.lines(MAPS)) {
      return lines
          .map(line -> line.substring(0, line.indexOf(' ')))
          .anyMatch(
              range -> {
                int dash = range.indexOf('-');
                return Long.parseUnsignedLong(range.substring(0, dash), 16) <= first
                    && Long.parseUnsignedLong(range.substring(dash + 1), 16) >= first + bytes;
              });
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void memoryEndsWithTheArena() {
    Arena arena = PageArena.ofBytes(3 << 20);
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
