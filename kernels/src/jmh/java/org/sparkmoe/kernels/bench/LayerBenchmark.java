package org.sparkmoe.kernels.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
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
import org.sparkmoe.kernels.experts.ExpertClock;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * A whole layer: router, experts, weighted sum.
 *
 * <pre>
 *   mvn -q -Pbench -pl kernels process-test-classes exec:exec@jmh -Djmh="LayerBenchmark"
 *   mvn -q -Pbench -pl kernels process-test-classes exec:exec@jmh \
 *     -Djmh="LayerBenchmark -p shape=qwen3-30b-a3b -p tokens=64 -p routing=ZIPF -p threads=2"
 * </pre>
 *
 * <p>Caches are cold as they are in a job: a call goes through all experts that have tokens, which
 * are far larger than any cache. {@code gbytes} counts the weights of experts that have tokens. The
 * layers of olmoe and qwen3-30b-a3b take 1.6 and 2.4 GB in f32, twice that once they are packed.
 * Sampled tokens are compared with SCALAR before anything is timed.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Fork(value = 1, jvmArgsAppend = "-Xmx4g")
@Warmup(iterations = 3, time = 2)
@Measurement(iterations = 5, time = 2)
public class LayerBenchmark {

  @Param({"olmoe", "qwen3-30b-a3b"})
  public String shape;

  @Param({"UNIFORM", "ZIPF", "ONE_HOT"})
  public RoutingKind routing;

  @Param({"1", "64", "1024"})
  public int tokens;

  @Param({"F32", "BF16"})
  public DType dtype;

  @Param("1")
  public int threads;

  @Param public Backend backend;

  private Arena arena;
  private RandomLayer weights;
  private PreparedLayer layer;
  private MemorySegment x;
  private MemorySegment out;
  private Team team;
  private Workspace ws;
  private double flops;
  private double bytes;

  @Setup(Level.Trial)
  public void prepare() {
    arena = Arena.ofShared();
    Shape sizes = Shape.named(shape);
    weights = new RandomLayer(sizes, dtype, false);
    weights.route(routing);
    ExpertKernel kernel = ExpertKernel.of(backend);
    layer = PreparedLayer.prepare(sizes.spec(), weights, kernel, ExpertStore.unbounded());
    team = Team.of(threads);
    ws = layer.kernel().workspace(layer.workspaceBytes(tokens, team), arena);
    long rows = DType.F32.bytes((long) tokens * sizes.hidden());
    x = arena.allocate(rows, 64);
    out = arena.allocate(rows, 64);
    RandomValues.fill(x, DType.F32, 1, 1);
    layer.forward(tokens, x, out, ws, team, ExpertClock.NONE);
    LayerProof.checkLayer(backend.name(), weights, tokens, x, out, LayerProof.tolerance(backend));
    int[] ids = new int[tokens * sizes.topK()];
    layer.route(tokens, x, ids, new float[ids.length], ws);
    flops = sizes.flops(tokens);
    bytes = (double) Arrays.stream(ids).distinct().count() * dtype.bytes(sizes.expertValues());
  }

  @Benchmark
  public void forward(Rates rates) {
    layer.forward(tokens, x, out, ws, team, ExpertClock.NONE);
    rates.add(flops, bytes);
  }

  @TearDown(Level.Trial)
  public void close() {
    team.close();
    layer.close();
    arena.close();
    weights.close();
  }
}
