package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.ScaleType;
import org.sparkmoe.kernels.testing.QuantizedTensors;
import org.sparkmoe.kernels.testing.QuantizedTensors.Kind;
import org.sparkmoe.kernels.testing.RandomTensors;

/** Reads images back as the header of {@code fourbit.cu} describes them. */
final class FourBitLayoutTest {
  /** Where columns 0 to 3 of four lie among the half bytes of a word; the next four two further. */
  private static final int[] PLACES = {0, 4, 1, 5};

  static List<Kind> kinds() {
    return QuantizedTensors.kinds().stream()
        .filter(kind -> FourBitLayout.fits(kind.format()))
        .toList();
  }

  @Test
  void formatsWithGroupsOfTheKernelsFit() {
    assertThat(kinds())
        .extracting(Kind::toString)
        .contains("uint4 g32", "uint4 g64, zeros", "uint4 channel", "w4a8", "nvfp4", "mxfp4")
        .doesNotContain("uint4 act-order", "int8 channel");
    assertThat(FourBitLayout.fits(QuantFormat.of(CodeType.UINT4, ScaleType.F16, 1, 256))).isTrue();
    assertThat(FourBitLayout.fits(QuantFormat.of(CodeType.UINT4, ScaleType.F16, 1, 96))).isFalse();
    assertThat(FourBitLayout.fits(QuantFormat.of(CodeType.E2M1, ScaleType.F32, 1, 32))).isFalse();
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void everyWeightIsWhereKernelsReadIt(Kind kind) {
    for (int[] shape : new int[][] {{1, 1}, {7, 64}, {130, 257}, {45, 1000}, {8, 128}}) {
      RandomTensors random = new RandomTensors(shape[1]);
      QuantizedMatrix matrix = QuantizedTensors.matrix(shape[0], shape[1], kind, random);
      FourBitLayout layout = new FourBitLayout(kind.format(), shape[0], shape[1]);
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment image = layout.image(matrix, arena);
        assertThat(image.byteSize()).isEqualTo(layout.bytes());
        MemorySegment units = layout.argument(arena);
        for (int row = 0; row < shape[0]; row++) {
          for (int col = 0; col < shape[1]; col++) {
            int group = matrix.group(col);
            float number =
                kind.format().codes().value(matrix.code(row, col)) - matrix.zero(row, group);
            float expected = number * matrix.scale(row, group);
            float actual = weight(image, units, kind.format(), row, col);
            if (actual != expected) {
              assertThat(actual).as("(%d, %d), %s, %s", row, col, kind, random).isEqualTo(expected);
            }
          }
        }
      }
    }
  }

  private static float weight(
      MemorySegment image, MemorySegment units, QuantFormat format, int row, int col) {
    int unit = row / 8 * units.getAtIndex(JAVA_INT, 1) + col / 128;
    int within = col % 128;
    int word = within / 32;
    int lane = within % 16 / 4;
    int place = PLACES[within % 4] + within % 32 / 16 * 2;
    long at = unit * 128L + row % 8 * 16L + lane * 4L + word;
    int code = image.getAtIndex(JAVA_INT, at) >>> (4 * place) & 0xF;
    int span = Math.min(format.colSpan(), 128);
    long index = (unit * 8L + row % 8) * (128 / span) + within / span;
    long scalesAt = units.getAtIndex(JAVA_INT, 2);
    if (format.codes() == CodeType.UINT4) {
      int zero = image.get(JAVA_BYTE, units.getAtIndex(JAVA_INT, 3) + index);
      return (code - zero) * image.get(JAVA_FLOAT, scalesAt + 4 * index);
    }
    long scale = image.get(JAVA_BYTE, scalesAt + index) & 0xFF;
    return format.codes().value(code)
        * image.get(JAVA_FLOAT, units.getAtIndex(JAVA_INT, 4) + 4 * scale);
  }
}
