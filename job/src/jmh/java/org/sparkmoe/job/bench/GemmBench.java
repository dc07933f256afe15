package org.sparkmoe.job.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.bench.LayerProof;
import org.sparkmoe.kernels.bench.RandomValues;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.gemm.PackedMatrix;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * One product on one thread, by each of our backends beside OpenBLAS; the weight stays in cache.
 */
final class GemmBench {
  private static final int SIZE = 2048;
  private static final int[] ROWS = {1, 4, 16, 64, 256, 1024};

  private final Settings settings;
  private final Report report;

  GemmBench(Settings settings, Report report) {
    this.settings = settings;
    this.report = report;
  }

  void run() {
    report.section("One product, N = K = %d, one thread, f32".formatted(SIZE));
    List<String> header = new ArrayList<>(List.of("M", "OpenBLAS GFLOP/s", "±"));
    for (Backend backend : settings.backends()) {
      header.addAll(List.of(backend + " GFLOP/s", "±", "÷ OpenBLAS"));
    }
    OpenBlas blas = Peer.blas();
    blas.setThreads(1);
    List<List<String>> rows = new ArrayList<>();
    for (int m : ROWS) {
      rows.add(row(blas, m));
    }
    report.table(header, rows);
  }

  private List<String> row(OpenBlas blas, int m) {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment x = random(arena, m, 1);
      MemorySegment y = arena.allocate(DType.F32.bytes((long) m * SIZE), 64);
      MemorySegment data = random(arena, SIZE, 1 / Math.sqrt(SIZE));
      Matrix w = new Matrix(data, DType.F32, SIZE, SIZE);
      List<Runnable> runs = new ArrayList<>();
      runs.add(() -> blas.multiply(m, SIZE, SIZE, x, w.data(), y));
      prove("OpenBLAS", runs.getLast(), m, x, w, y, LayerProof.PEER);
      for (Backend backend : settings.backends()) {
        ExpertKernel kernel = ExpertKernel.of(backend);
        Gemm gemm = kernel.gemm();
        PackedMatrix packed = gemm.pack(w, arena);
        Workspace ws = kernel.workspace(gemm.workspaceBytes(m, SIZE), arena);
        runs.add(() -> gemm.multiply(m, x, packed, null, y, ws));
        prove(backend.name(), runs.getLast(), m, x, w, y, LayerProof.tolerance(backend));
      }
      return cells(m, Rounds.of(runs, settings.seconds()));
    }
  }

  private static List<String> cells(int m, List<Timing> timings) {
    double flops = 2.0 * m * SIZE * SIZE;
    List<String> cells = new ArrayList<>(List.of(Integer.toString(m)));
    Timing peer = timings.getFirst();
    cells.addAll(speed(peer, flops));
    for (Timing ours : timings.subList(1, timings.size())) {
      cells.addAll(speed(ours, flops));
      cells.add(Figures.ratio(ours.ratioTo(peer)));
    }
    return cells;
  }

  private static List<String> speed(Timing timing, double flops) {
    return List.of(Figures.rate(flops / timing.median() / 1e9), Figures.percent(timing.spread()));
  }

  private static void prove(
      String name,
      Runnable run,
      int m,
      MemorySegment x,
      Matrix w,
      MemorySegment y,
      double tolerance) {
    y.fill((byte) -1);
    run.run();
    for (int row : new int[] {0, m - 1}) {
      long at = DType.F32.bytes((long) row * SIZE);
      LayerProof.checkProduct(
          "%s is wrong: row %d of %d".formatted(name, row, m),
          x.asSlice(at, DType.F32.bytes(SIZE)),
          w,
          y.asSlice(at, DType.F32.bytes(SIZE)),
          tolerance);
    }
  }

  private static MemorySegment random(Arena arena, int rows, double deviation) {
    MemorySegment data = arena.allocate(DType.F32.bytes((long) rows * SIZE), 64);
    RandomValues.fill(data, DType.F32, deviation, rows);
    return data;
  }
}
