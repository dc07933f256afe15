package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.E4m3;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.ScaleType;
import org.sparkmoe.kernels.testing.QuantizedTensors;
import org.sparkmoe.kernels.testing.QuantizedTensors.Kind;
import org.sparkmoe.kernels.testing.RandomTensors;

/**
 * The kernels' own code for unpacking, compiled for the CPU, over matrices as they lie on the GPU:
 * the weights are the same to the bit. Skipped where there is no C++ compiler.
 */
final class CodesTest {
  private static final int STAGE = 64;

  /** As {@code codes.cuh} numbers them. */
  private static final List<CodeType> CODES = List.of(CodeType.values());

  @TempDir private static Path folder;

  private static final Arena ARENA = Arena.ofShared();
  private static MethodHandle unpackRow;

  @BeforeAll
  @SuppressWarnings("restricted") // a library of this test
  static void compile() throws IOException, InterruptedException {
    Path source = Path.of("src/test/cuda/unpack.cpp");
    assumeTrue(Files.exists(source), "the tests run outside their module");
    Path library = folder.resolve("libunpack.so");
    List<String> command =
        List.of(
            "c++",
            "-std=c++17",
            "-O1",
            "-shared",
            "-fPIC",
            "-Wno-unknown-pragmas",
            "-Isrc/main/cuda",
            source.toString(),
            "-o",
            library.toString());
    Process compiler;
    try {
      compiler = new ProcessBuilder(command).inheritIO().start();
    } catch (IOException e) {
      assumeTrue(false, "no C++ compiler: " + e.getMessage());
      throw e;
    }
    assertThat(compiler.waitFor()).as("%s", command).isZero();
    unpackRow =
        Linker.nativeLinker()
            .downcallHandle(
                SymbolLookup.libraryLookup(library, ARENA).findOrThrow("unpack_row"),
                FunctionDescriptor.ofVoid(JAVA_INT, ADDRESS, ADDRESS, JAVA_INT, JAVA_INT, ADDRESS));
  }

  @AfterAll
  static void unload() {
    ARENA.close();
  }

  static List<Kind> kinds() {
    return QuantizedTensors.kinds().stream()
        .filter(kind -> Backend.CUDA.refusal(kind.format()).isEmpty())
        .toList();
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void kernelsUnpackTheWeightsOfEveryKind(Kind kind) throws Throwable {
    for (int[] shape : new int[][] {{1, 1}, {7, 64}, {130, 257}, {45, 1000}}) {
      RandomTensors random = new RandomTensors(shape[1]);
      assertUnpacks(QuantizedTensors.matrix(shape[0], shape[1], kind, random), kind, random);
    }
  }

  @ParameterizedTest
  @EnumSource
  void everyCodeIsItsNumber(CodeType type) throws Throwable {
    int cols = 256 * 8 / type.bits();
    byte[] codes = new byte[256];
    for (int code = 0; code < 256; code++) {
      boolean isNaN = type == CodeType.E4M3 && (code & E4m3.NAN) == E4m3.NAN;
      codes[code] = isNaN ? 0 : (byte) code;
    }
    QuantFormat format = QuantFormat.of(type, ScaleType.F32, 1, QuantFormat.ALL);
    MemorySegment one = MemorySegment.ofArray(new float[] {1});
    MemorySegment scale = MemorySegment.ofArray(new byte[4]).copyFrom(one);
    assertUnpacks(
        QuantizedMatrix.of(MemorySegment.ofArray(codes), format, 1, cols, scale), type, "1");
  }

  private static void assertUnpacks(QuantizedMatrix matrix, Object kind, Object context)
      throws Throwable {
    int stride = Math.ceilDiv(matrix.cols(), STAGE) * STAGE;
    QuantLayout layout = new QuantLayout(matrix.format(), matrix.rows(), matrix.cols(), stride);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment image = layout.image(matrix, arena);
      assertThat(image.byteSize()).isEqualTo(layout.bytes());
      MemorySegment coding = layout.argument(arena);
      MemorySegment row = arena.allocate(4L * stride, 8);
      for (int n = 0; n < matrix.rows(); n++) {
        unpackRow.invoke(CODES.indexOf(matrix.format().codes()), image, coding, n, stride, row);
        for (int k = 0; k < stride; k++) {
          float actual = row.getAtIndex(JAVA_FLOAT, k);
          if (k >= matrix.cols()) {
            assertThat(actual).as("padding, %s, %s", kind, context).isFinite();
          } else if (Float.floatToRawIntBits(actual)
              != Float.floatToRawIntBits(weight(matrix, n, k))) {
            assertThat(actual)
                .as("(%d, %d), %s, %s", n, k, kind, context)
                .isEqualTo(weight(matrix, n, k));
          }
        }
      }
    }
  }

  /** As all kernels that compute in f32 have it. */
  private static float weight(QuantizedMatrix matrix, int row, int col) {
    int group = matrix.group(col);
    float value = matrix.format().codes().value(matrix.code(row, col));
    return (value - matrix.zero(row, group)) * matrix.scale(row, group);
  }

  @Test
  void aGlobalScaleBesideScalesOf16BitsIsRefused() {
    QuantFormat format = QuantFormat.of(CodeType.UINT4, ScaleType.F16, 1, 32);
    QuantizedMatrix matrix =
        new QuantizedMatrix(
            MemorySegment.ofArray(new byte[32]),
            format,
            1,
            64,
            MemorySegment.ofArray(new byte[4]),
            0.5,
            null,
            null);
    try (Arena arena = Arena.ofConfined()) {
      assertThatThrownBy(() -> new QuantLayout(format, 1, 64, 64).image(matrix, arena))
          .hasMessageContaining("with a global scale do not run on cuda");
    }
  }
}
