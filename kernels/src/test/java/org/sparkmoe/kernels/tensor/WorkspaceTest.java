package org.sparkmoe.kernels.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

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
  void saysWhatIsMissing() {
    Workspace ws = Workspace.ofBytes(8);
    ws.take(1);
    assertThatThrownBy(() -> ws.take(2))
        .hasMessageContaining("workspace of 8 bytes is too small: 4 are taken, 8 more are needed");
    assertThatThrownBy(() -> Workspace.ofBytes(1L << 40)).hasMessageContaining("limit of 8 GiB");
  }
}
