package org.sparkmoe.job.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.bench.RandomValues;
import org.sparkmoe.kernels.bench.Shape;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.gemm.PackedMatrix;
import org.sparkmoe.kernels.router.Router;
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * The tokens that every contender computes.
 *
 * @param tokens T
 * @param x T × H f32
 * @param out T × H f32, the contender's result
 * @param rows how many tokens each expert gets
 */
record Batch(int tokens, MemorySegment x, MemorySegment out, int[] rows) {
  private static final long SEED = 77;

  /** Random tokens, routed as {@code layer} now routes. */
  static Batch of(RandomLayer layer, int tokens, Arena arena) {
    int hidden = layer.shape().hidden();
    long bytes = DType.F32.bytes((long) tokens * hidden);
    MemorySegment x = arena.allocate(bytes, 64);
    RandomValues.fill(x, DType.F32, 1, SEED);
    return new Batch(tokens, x, arena.allocate(bytes, 64), rowsByExpert(layer, tokens, x));
  }

  /** Rounds the tokens to {@code type}; their routes may change. */
  void round(DType type, int hidden) {
    long count = (long) tokens * hidden;
    try (Arena arena = Arena.ofConfined()) {
      Activations narrow = new Activations(arena.allocate(type.bytes(count), 64), type);
      Activations.f32(x).convert(narrow, count);
      narrow.convert(Activations.f32(x), count);
    }
  }

  /** Tokens of the hottest expert. */
  int hottest() {
    int most = 0;
    for (int count : rows) {
      most = Math.max(most, count);
    }
    return most;
  }

  /** Experts with at least one token. */
  int active() {
    return activeUpTo(Integer.MAX_VALUE);
  }

  /** Experts with at least one token and at most {@code most}. */
  int activeUpTo(int most) {
    int active = 0;
    for (int count : rows) {
      active += count > 0 && count <= most ? 1 : 0;
    }
    return active;
  }

  private static int[] rowsByExpert(RandomLayer layer, int tokens, MemorySegment x) {
    Shape shape = layer.shape();
    ExpertKernel kernel = ExpertKernel.of(Backend.VECTOR);
    Gemm gemm = kernel.gemm();
    float[] logits = new float[tokens * shape.experts()];
    int[] ids = new int[tokens * shape.topK()];
    try (Arena arena = Arena.ofConfined()) {
      PackedMatrix router = gemm.pack(layer.router(), arena);
      Workspace ws = kernel.workspace(gemm.workspaceBytes(tokens, shape.hidden()), arena);
      gemm.multiply(
          tokens, x, router, layer.routerBias().orElseThrow(), MemorySegment.ofArray(logits), ws);
    }
    Router.of(shape.spec().routing(), shape.experts())
        .route(tokens, logits, null, ids, new float[ids.length]);
    int[] rows = new int[shape.experts()];
    for (int id : ids) {
      rows[id]++;
    }
    return rows;
  }
}
