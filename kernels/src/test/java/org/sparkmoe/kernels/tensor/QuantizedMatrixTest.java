package org.sparkmoe.kernels.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

final class QuantizedMatrixTest {

  private static MemorySegment bytes(int... values) {
    byte[] data = new byte[values.length];
    for (int i = 0; i < data.length; i++) {
      data[i] = (byte) values[i];
    }
    return MemorySegment.ofArray(data);
  }

  private static MemorySegment floats(float... values) {
    return MemorySegment.ofArray(values);
  }

  @Test
  void pairsShareAByteLowHalfFirstAndRowsStartOnBytes() {
    QuantFormat format = QuantFormat.of(CodeType.UINT4, ScaleType.F32, 1, QuantFormat.ALL);
    QuantizedMatrix w =
        QuantizedMatrix.of(bytes(0x9A, 0x0F, 0x07, 0x08), format, 2, 3, floats(1, 0.5f));
    assertThat(w.value(0, 0)).isEqualTo(2);
    assertThat(w.value(0, 1)).isEqualTo(1);
    assertThat(w.value(0, 2)).isEqualTo(7);
    assertThat(w.value(1, 0)).isEqualTo(-0.5);
    assertThat(w.value(1, 1)).isEqualTo(-4);
    assertThat(w.value(1, 2)).isEqualTo(0);
    assertThat(w.bytes()).isEqualTo(4 + 8);
  }

  @Test
  void blocksMayBePartialInBothDirections() {
    QuantFormat format = QuantFormat.of(CodeType.INT8, ScaleType.F32, 2, 2);
    QuantizedMatrix w =
        QuantizedMatrix.of(
            bytes(1, 1, 1, 1, 1, 1, 1, 1, -1), format, 3, 3, floats(1, 10, 100, 1000));
    assertThat(w.value(1, 1)).isEqualTo(1);
    assertThat(w.value(1, 2)).isEqualTo(10);
    assertThat(w.value(2, 0)).isEqualTo(100);
    assertThat(w.value(2, 2)).isEqualTo(-1000);
  }

  @Test
  void columnsFollowTheListOfGroupsAndZeroPointsTheScales() {
    QuantFormat format = new QuantFormat(CodeType.UINT8, ScaleType.F32, 1, 2, true, true);
    QuantizedMatrix w =
        new QuantizedMatrix(
            bytes(10, 10, 10), format, 1, 3, floats(1, 2), 0.5, bytes(3, 200), new int[] {1, 0, 1});
    assertThat(w.value(0, 0)).isEqualTo((10 - 200) * 2 * 0.5);
    assertThat(w.value(0, 1)).isEqualTo((10 - 3) * 0.5);
    assertThat(w.value(0, 2)).isEqualTo((10 - 200) * 2 * 0.5);
  }

  @Test
  void saysWhatMakesItUnusable() {
    QuantFormat fp8 =
        QuantFormat.of(CodeType.E4M3, ScaleType.F32, QuantFormat.ALL, QuantFormat.ALL);
    assertThat(QuantizedMatrix.of(bytes(0x7F), fp8, 1, 1, floats(1)).defect().orElseThrow())
        .contains("NaN among its weights (number 0)");
    for (float scale : new float[] {0, -1, Float.NaN, Float.POSITIVE_INFINITY}) {
      assertThat(QuantizedMatrix.of(bytes(1), fp8, 1, 1, floats(scale)).defect().orElseThrow())
          .contains("a scale of " + scale);
    }
    QuantFormat nvfp4 = QuantFormat.of(CodeType.E2M1, ScaleType.E4M3, 1, 16);
    assertThat(QuantizedMatrix.of(bytes(1), nvfp4, 1, 1, bytes(0)).defect()).isEmpty();
    assertThat(
            new QuantizedMatrix(bytes(1), nvfp4, 1, 1, bytes(1), 0, null, null)
                .defect()
                .orElseThrow())
        .contains("a global scale of 0");
    QuantFormat ordered = new QuantFormat(CodeType.UINT4, ScaleType.F32, 1, 1, false, true);
    assertThat(
            new QuantizedMatrix(bytes(1), ordered, 1, 1, floats(1), 1, null, new int[] {1})
                .defect()
                .orElseThrow())
        .contains("group 1 of 1");
  }

  @Test
  void refusesBuffersOfAnotherSize() {
    QuantFormat format = QuantFormat.of(CodeType.E4M3, ScaleType.F32, 128, 128);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> QuantizedMatrix.of(bytes(1, 2), format, 1, 2, floats()))
        .withMessage("scales take 4 bytes, not 0");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> QuantizedMatrix.of(bytes(1), format, 1, 2, floats(1)))
        .withMessage("codes take 2 bytes, not 1");
  }
}
