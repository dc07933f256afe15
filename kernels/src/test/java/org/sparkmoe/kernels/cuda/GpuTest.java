package org.sparkmoe.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;

/** Everything but the kernels, over a driver that only keeps books. */
final class GpuTest {
  private final FakeDriver fake = new FakeDriver();

  @AfterEach
  void close() {
    fake.close();
  }

  @Test
  void aGpuSaysWhatItIs() {
    try (Gpu gpu = Gpu.open(fake.driver(), 0)) {
      assertThat(gpu)
          .hasToString(
              "GPU 0, Fake 9000, compute capability 9.0, 8.0 GiB, driver for CUDA 12.4, sm_90a"
                  + " kernels");
      assertThat(gpu.freeBytes()).isEqualTo(fake.freeBytes);
    }
  }

  @Test
  void onlyHopperWithADriverThatKnowsItHasItsOwnKernels() {
    fake.version = 12020;
    assertThat(kernels()).endsWith("driver for CUDA 12.2, portable kernels");
    fake.version = 13000;
    assertThat(kernels()).endsWith("sm_90a kernels");
    fake.major = 10;
    assertThat(kernels()).endsWith("portable kernels");
    fake.major = 8;
    fake.missing.add("cuTensorMapEncodeTiled");
    assertThat(kernels()).endsWith("portable kernels");
  }

  private String kernels() {
    try (Gpu gpu = Gpu.open(fake.driver(), 0)) {
      return gpu.toString();
    }
  }

  @Test
  void aDriverWithoutAGpuIsRefused() {
    fake.results.put("cuInit", Driver.NO_DEVICE);
    assertRefused(
        "the NVIDIA driver sees no GPU (cuInit: CUDA_ERROR_FAKE_100 (100), fake error 100); use"
            + " onednn, vector or auto");
  }

  @Test
  void aNumberThatNoGpuHasIsRefused() {
    fake.devices = 2;
    assertThatThrownBy(() -> Gpu.open(fake.driver(), 2))
        .isInstanceOf(CudaException.class)
        .hasMessage(
            "GPU 2 was asked for and there are 0 to 1; set -Dspark.moe.cuda.device to one of them,"
                + " or let Spark give tasks others");
  }

  @Test
  void anOldGpuIsRefused() {
    fake.major = 7;
    fake.minor = 5;
    assertRefused(
        "GPU 0, Fake 9000, has compute capability 7.5, at least 8.0 is needed; use onednn or"
            + " vector");
  }

  @Test
  void anOldDriverIsRefused() {
    fake.version = 10020;
    assertRefused(
        "the NVIDIA driver is for CUDA 10.2, at least 11.0 is needed; install driver 450 or later");
  }

  @Test
  void aFunctionThatTheDriverLacksIsNamed() {
    fake.missing.add("cuMemHostAlloc");
    assertThatThrownBy(fake::driver).hasMessageContaining("cuMemHostAlloc");
  }

  @Test
  void aFailureHasItsCallAndResultByNameNumberAndText() {
    try (Gpu gpu = Gpu.open(fake.driver(), 0);
        Lane lane = gpu.lane()) {
      fake.results.put("cuStreamSynchronize", 700);
      MemorySegment x = MemorySegment.ofArray(new float[8]);
      lane.load(8, 1, x, DType.F32);
      assertThatThrownBy(lane::finish)
          .isInstanceOf(CudaException.class)
          .hasMessage("cuStreamSynchronize: CUDA_ERROR_FAKE_700 (700), fake error 700");
      fake.results.clear();
    }
  }

  @Test
  void memoryThatIsNotThereIsRefusedWithWhatIsFree() {
    try (Gpu gpu = Gpu.open(fake.driver(), 0);
        Arena arena = Arena.ofConfined()) {
      fake.results.put("cuMemAlloc_v2", Driver.OUT_OF_MEMORY);
      assertThatThrownBy(() -> gpu.allocate(5_000_000_000L, arena))
          .isInstanceOf(CudaException.class)
          .hasMessage(
              "GPU 0, Fake 9000, has 3221225472 of 8589934592 bytes free, 5000000000 more are"
                  + " needed; lower --weight-memory, or use onednn or vector");
    }
  }

  @Test
  void everythingIsGivenBackInTheReverseOrder() {
    Gpu gpu = Gpu.open(fake.driver(), 0);
    try (Arena arena = Arena.ofConfined()) {
      gpu.allocate(64, arena);
    }
    gpu.close();
    assertThat(fake.calls).contains("alloc 64").anyMatch(call -> call.startsWith("cuMemFree_v2"));
    List<String> made =
        fake.calls.stream()
            .filter(call -> call.matches("cu(Stream|Event)Create = .*|cuModuleLoad.*"))
            .map(call -> call.replaceAll(".* = ", ""))
            .toList();
    // modules; a stream a lane, with marks of two stagings and of two runs
    assertThat(made).hasSize(8 + (1 + 2 + 4) * Gpu.LANES);
    List<String> gone =
        fake.calls.stream()
            .filter(call -> call.matches("cu(Stream|Event)Destroy.*|cuModuleUnload.*"))
            .map(call -> call.replaceAll(".* ", ""))
            .toList();
    assertThat(gone).isEqualTo(made.reversed());
    assertThat(fake.calls).last().isEqualTo("cuDevicePrimaryCtxRelease_v2 0");
  }

  @Test
  void aModuleThatDoesNotLoadLeavesNothing() {
    fake.results.put("cuModuleLoadDataEx", 222);
    assertRefused("cuModuleLoadDataEx: CUDA_ERROR_FAKE_222 (222), fake error 222");
    assertThat(fake.calls).last().isEqualTo("cuDevicePrimaryCtxRelease_v2 0");
  }

  @Test
  void everyTileOfEveryExpertIsLaunched() {
    fake.major = 8;
    try (Gpu gpu = Gpu.open(fake.driver(), 0);
        Arena arena = Arena.ofConfined()) {
      GpuShape shape = new GpuShape(DType.BF16, 100, 70, true);
      GpuExpert expert = expert(gpu, shape, arena);
      assertThat(expert.bytes()).isEqualTo(shape.bytes());
      String inner = handle("inner_gated_bf16");
      String outer = handle("outer_bf16");
      fake.calls.clear();
      try (Lane lane = gpu.lane()) {
        MemorySegment x = arena.allocate(4L * 100 * 400);
        lane.load(100, 400, x, DType.F32);
        lane.arrange(shape);
        GpuActivation silu = new GpuActivation(0, 0, 0, Float.POSITIVE_INFINITY);
        List<Lane.Piece> pieces =
            List.of(new Lane.Piece(expert, 0, 129), new Lane.Piece(expert, 129, 271));
        assertThat(lane.run(pieces, silu)).isEqualTo(2_500_000);
        assertThat(lane.run(List.of(), silu)).isZero();
      }
      // 2 + 3 tiles of 128 rows; 70 outputs of two sums are two tiles of 128, 100 of one sum are
      // one
      assertThat(fake.calls)
          .contains(
              "launch [%s, 2, 5, 1, 128, 1, 1, 98304]".formatted(inner),
              "launch [%s, 1, 5, 1, 128, 1, 1, 98304]".formatted(outer));
      // the tokens are padded and the plan is fetched before
      assertThat(fake.calls).filteredOn(call -> call.startsWith("launch")).hasSize(4);
    }
  }

  /** The second product multiplies the padding by zeros: it must be a number. */
  @Test
  void thePaddingOfIntermediatesIsWritten() {
    try (Gpu gpu = Gpu.open(fake.driver(), 0);
        Arena arena = Arena.ofConfined()) {
      GpuShape shape = new GpuShape(DType.F32, 33, 21, true);
      GpuExpert expert = expert(gpu, shape, arena);
      try (Lane lane = gpu.lane()) {
        lane.load(33, 5, arena.allocate(4L * 33 * 5), DType.F32);
        lane.arrange(shape);
        GpuActivation silu = new GpuActivation(0, 0, 0, Float.POSITIVE_INFINITY);
        lane.run(List.of(new Lane.Piece(expert, 0, 5)), silu);
      }
      // a block makes 32 outputs of gate and up, and 64 lie in a row
      assertThat(fake.calls)
          .contains("launch [%s, 2, 1, 1, 256, 1, 1, 0]".formatted(handle("inner_gated_f32")));
    }
  }

  @Test
  void onHopperOneBlockAMultiprocessorTakesAllTiles() {
    try (Gpu gpu = Gpu.open(fake.driver(), 0);
        Arena arena = Arena.ofConfined()) {
      GpuShape shape = new GpuShape(DType.BF16, 100, 70, true);
      GpuExpert expert = expert(gpu, shape, arena);
      assertThat(maps())
          .as("70 × 128 for gate and up, 100 × 128 for down")
          .containsExactly(
              "map 9 [128, 70, 2] [256, 17920] [64, 128, 1]",
              "map 9 [128, 100, 1] [256, 25600] [64, 128, 1]");
      fake.calls.clear();
      compute(gpu, shape, expert, arena);
      assertThat(maps())
          .as("intermediates and sums; rows are gathered")
          .containsExactly("map 9 [128, 400] [256] [64, 128]", "map 7 [100, 400] [400] [32, 16]");
      // 3 tiles of 256 rows by 1 of columns, for 2 pairs of multiprocessors
      assertThat(launches())
          .containsExactly(
              // 2 stretches of assignments, counted and placed by a warp each
              "launch [1, 1, 1, 256, 1, 1, 64]",
              "launch [1, 1, 1, 1024, 1, 1, 0]",
              "launch [1, 1, 1, 256, 1, 1, 64]",
              "launch [3, 1, 1, 256, 1, 1, 0]",
              // the plan: 3 tiles of 2 experts
              "launch [1, 1, 1, 256, 1, 1, 0]",
              "launch [4, 1, 1, 384, 1, 1, 230032]",
              "launch [4, 1, 1, 384, 1, 1, 230032]");
    }
  }

  /** 1,025 outputs of two sums are nine tiles of 256. */
  @Test
  void onHopperRowsThatManyTilesReadAreGatheredBefore() {
    try (Gpu gpu = Gpu.open(fake.driver(), 0);
        Arena arena = Arena.ofConfined()) {
      GpuShape shape = new GpuShape(DType.BF16, 100, 1025, true);
      GpuExpert expert = expert(gpu, shape, arena);
      fake.calls.clear();
      compute(gpu, shape, expert, arena);
      assertThat(maps())
          .as("rows, intermediates and sums")
          .containsExactly(
              "map 9 [128, 400] [256] [64, 128]",
              "map 9 [1088, 400] [2176] [64, 128]",
              "map 7 [100, 400] [400] [32, 16]");
      assertThat(launches()).contains("launch [400, 1, 1, 256, 1, 1, 0]");
    }
  }

  /** 129 and 271 rows of 3 tokens, through two experts that are one. */
  private void compute(Gpu gpu, GpuShape shape, GpuExpert expert, Arena arena) {
    try (Lane lane = gpu.lane()) {
      fake.totals = new int[] {129, 271};
      lane.load(100, 3, arena.allocate(4L * 100 * 3), DType.F32);
      lane.routes(routes(0, 100, 200, 400), new int[400]);
      lane.permute(2);
      assertThat(lane.rowsOfExperts(2)).containsExactly(129, 271);
      lane.arrange(shape);
      GpuActivation silu = new GpuActivation(0, 0, 0, Float.POSITIVE_INFINITY);
      lane.run(List.of(new Lane.Piece(expert, 0, 129), new Lane.Piece(expert, 129, 271)), silu);
    }
  }

  private static TokenRoutes routes(int... offsets) {
    int tokens = offsets.length - 1;
    return new TokenRoutes(tokens, offsets, new int[offsets[tokens]], new float[offsets[tokens]]);
  }

  private List<String> maps() {
    return fake.calls.stream().filter(call -> call.startsWith("map")).toList();
  }

  private List<String> launches() {
    return fake.calls.stream()
        .filter(call -> call.startsWith("launch"))
        .map(call -> call.replaceAll("\\[[0-9]+, ", "["))
        .toList();
  }

  /** They would wait for the tokens and results of other batches. */
  @Test
  void countsAndPlansAreNoCopies() {
    try (Gpu gpu = Gpu.open(fake.driver(), 0);
        Arena arena = Arena.ofConfined()) {
      GpuShape shape = new GpuShape(DType.BF16, 100, 70, true);
      GpuExpert expert = expert(gpu, shape, arena);
      try (Lane lane = gpu.lane()) {
        fake.totals = new int[] {3};
        lane.load(100, 3, arena.allocate(4L * 100 * 3), DType.F32);
        lane.routes(routes(0, 1, 2, 3), new int[3]);
        fake.calls.clear();
        lane.permute(1);
        assertThat(lane.rowsOfExperts(1)).containsExactly(3);
        lane.arrange(shape);
        GpuActivation silu = new GpuActivation(0, 0, 0, Float.POSITIVE_INFINITY);
        lane.run(List.of(new Lane.Piece(expert, 0, 3)), silu);
      }
      assertThat(fake.calls).noneMatch(call -> call.startsWith("cuMemcpy"));
    }
  }

  /** The last of that name: later modules replace kernels of earlier ones. */
  private String handle(String kernel) {
    return fake.calls.stream()
        .filter(call -> call.startsWith("function " + kernel + " = "))
        .map(call -> call.replaceAll(".* = ", ""))
        .reduce((first, second) -> second)
        .orElseThrow();
  }

  private static GpuExpert expert(Gpu gpu, GpuShape shape, Arena arena) {
    Matrix inner = matrix(shape.type(), shape.intermediate(), shape.hidden());
    Matrix outer = matrix(shape.type(), shape.hidden(), shape.intermediate());
    float[] inners = new float[shape.intermediate()];
    float[] outers = new float[shape.hidden()];
    return GpuExpert.upload(gpu, shape, inner, inner, outer, inners, inners, outers, arena);
  }

  private static Matrix matrix(DType type, int rows, int cols) {
    byte[] data = new byte[(int) type.bytes((long) rows * cols)];
    return new Matrix(MemorySegment.ofArray(data), type, rows, cols);
  }

  private void assertRefused(String message) {
    assertThatThrownBy(() -> Gpu.open(fake.driver(), 0))
        .isInstanceOf(CudaException.class)
        .hasMessage(message);
  }
}
