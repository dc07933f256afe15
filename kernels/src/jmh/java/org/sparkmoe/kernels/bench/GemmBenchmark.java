package org.sparkmoe.kernels.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.gemm.PackedMatrix;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * One matrix product {@code Y = X Wᵀ} on one thread, by each backend that runs here.
 *
 * <pre>
 *   mvn -q -Pbench -pl kernels process-test-classes exec:exec@jmh -Djmh="GemmBenchmark"
 *   mvn -q -Pbench -pl kernels process-test-classes exec:exec@jmh \
 *     -Djmh="GemmBenchmark -p m=8 -p cache=COLD -p stored=BF16,W4A16_G128 -p backend=VECTOR"
 * </pre>
 *
 * <p>WARM multiplies by one weight again and again, which stays in whatever cache it fits. COLD
 * goes through 512 MiB of weights in turn, so that each is read from memory, as the experts of a
 * layer are. The first and the last row are compared with SCALAR before anything is timed.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class GemmBenchmark {
  private static final long COLD_BYTES = 512L << 20;

  /** Where weights are found. */
  public enum Cache {
    WARM,
    COLD
  }

  @Param({"1", "4", "16", "64", "256", "1024"})
  public int m;

  @Param("2048")
  public int n;

  @Param("2048")
  public int k;

  @Param public Stored stored;

  @Param({"WARM", "COLD"})
  public Cache cache;

  @Param public Backend backend;

  private Arena arena;
  private Gemm gemm;
  private MemorySegment x;
  private MemorySegment y;
  private PackedMatrix[] weights;
  private Workspace ws;
  private int next;

  @Setup(Level.Trial)
  public void prepare() {
    arena = Arena.ofShared();
    ExpertKernel kernel = ExpertKernel.of(backend);
    gemm = kernel.gemm();
    ws = kernel.workspace(gemm.workspaceBytes(m, k), arena);
    x = arena.allocate(DType.F32.bytes((long) m * k), 64);
    y = arena.allocate(DType.F32.bytes((long) m * n), 64);
    RandomValues.fill(x, DType.F32, 1, 1);
    Weight w = stored.random(n, k, arena, 0);
    weights = new PackedMatrix[cache == Cache.WARM ? 1 : (int) Math.ceilDiv(COLD_BYTES, w.bytes())];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = gemm.pack(w, arena);
    }
    prove(w);
  }

  /** {@code w} is the matrix that all of {@code weights} are copies of. */
  private void prove(Weight w) {
    gemm.multiply(m, x, weights[0], null, y, ws);
    for (int row : new int[] {0, m - 1}) {
      LayerProof.checkProduct(
          "%s is wrong: row %d".formatted(backend, row),
          x.asSlice(DType.F32.bytes((long) row * k), DType.F32.bytes(k)),
          w,
          y.asSlice(DType.F32.bytes((long) row * n), DType.F32.bytes(n)),
          LayerProof.tolerance(backend));
    }
  }

  @Benchmark
  public void multiply(Rates rates) {
    next = next + 1 == weights.length ? 0 : next + 1;
    gemm.multiply(m, x, weights[next], null, y, ws);
    rates.add(2.0 * m * n * k, (double) weights[next].bytes());
  }

  @TearDown(Level.Trial)
  public void close() {
    arena.close();
  }
}
