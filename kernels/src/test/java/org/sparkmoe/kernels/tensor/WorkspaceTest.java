package org.sparkmoe.kernels.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.Test;

final class WorkspaceTest {

  @Test
  void isAStack() {
    Workspace ws = Workspace.ofBytes(40);
    assertThat(ws.take(3)).isZero();
    int mark = ws.mark();
    assertThat(ws.take(7)).isEqualTo(3);
    ws.release(mark);
    assertThat(ws.segment(7).byteSize()).isEqualTo(28);
  }

  @Test
  void collectsOnTheHeapBesideTheStack() {
    try (Arena arena = Arena.ofConfined()) {
      for (Workspace ws : List.of(Workspace.ofBytes(8), Workspace.offHeap(8, arena))) {
        MemorySegment rows = ws.collected(3);
        assertThat(rows.isNative()).isFalse();
        assertThat(rows.byteSize()).isEqualTo(12);
        DType.F32.set(rows, 2, 7);
        assertThat(ws.segment(2).byteSize()).isEqualTo(8);
        assertThat(DType.F32.get(ws.collected(3), 2)).isEqualTo(7);
        assertThat(ws.collected(5).byteSize()).isEqualTo(20);
        assertThatThrownBy(() -> ws.collected(1L << 40)).hasMessageContaining("limit of 8 GiB");
        assertThat(ws.collected(5).byteSize()).isEqualTo(20);
      }
    }
  }

  @Test
  void saysWhatIsMissing() {
    Workspace ws = Workspace.ofBytes(8);
    ws.take(1);
    assertThatThrownBy(() -> ws.take(2))
        .hasMessageContaining("workspace of 8 bytes is too small: 4 are taken, 8 more are needed");
    assertThatThrownBy(() -> Workspace.ofBytes(1L << 40)).hasMessageContaining("limit of 8 GiB");
  }
}
