package org.sparkmoe.kernels.quant.weight;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.ScaleType;

final class WeightErrorTest {

  @Test
  void isRelativeInTheNormAndLargestInTheUnit() {
    QuantFormat format = QuantFormat.of(CodeType.UINT4, ScaleType.F32, 1, 2);
    // Weights 1 1 -2 and, by the second scale, 0 0 5.
    QuantizedMatrix quantized =
        QuantizedMatrix.of(
            MemorySegment.ofArray(new byte[] {(byte) 0x99, 6, (byte) 0x88, 9}),
            format,
            2,
            3,
            MemorySegment.ofArray(new float[] {1, 1, 1, 5}));
    WeightError error = WeightError.of(Matrix.of(2, 3, 1, 2, -2, 0, 0, 4), quantized);
    assertThat(error.largest()).isEqualTo(1);
    assertThat(error.relative()).isCloseTo(Math.sqrt(2 / 25.0), within(1e-12));
  }

  @Test
  void otherShapesAreRefused() {
    QuantizedMatrix quantized =
        WeightQuantizer.mxfp4().quantize(Matrix.of(1, 2, 1, 2), Arena.ofAuto());
    assertThatIllegalArgumentException()
        .isThrownBy(() -> WeightError.of(Matrix.of(2, 1, 1, 2), quantized))
        .withMessageContaining("1 x 2");
  }
}
