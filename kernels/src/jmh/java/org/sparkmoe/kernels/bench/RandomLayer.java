package org.sparkmoe.kernels.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.layer.LayerWeights;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.Weight;

/**
 * Random weights outside the heap. Peers compute in f32: they see the stored values widened, so
 * that all compute the same function.
 */
public final class RandomLayer implements LayerWeights, AutoCloseable {
  private static final long SEED = 20_26;
  private static final long ALIGNMENT = 64;

  private final Arena arena = Arena.ofShared();
  private final Shape shape;
  private final Matrix router;
  private final float[] routerBias;
  private final Weight[][] stored;
  private final Matrix[][] wide;

  private RandomLayer(Shape shape) {
    this.shape = shape;
    this.router = random(shape.experts(), shape.hidden(), DType.F32, -1);
    this.routerBias = new float[shape.experts()];
    this.stored = new Weight[shape.experts()][];
    this.wide = new Matrix[shape.experts()][];
  }

  /**
   * Random weights.
   *
   * @param dtype of the experts; the router is f32
   * @param withWide whether peers will ask for {@link #wide}
   */
  public RandomLayer(Shape shape, DType dtype, boolean withWide) {
    this(shape);
    int hidden = shape.hidden();
    int inner = shape.intermediate();
    for (int e = 0; e < shape.experts(); e++) {
      Matrix[] plain = {
        random(inner, hidden, dtype, 3L * e),
        random(inner, hidden, dtype, 3L * e + 1),
        random(hidden, inner, dtype, 3L * e + 2)
      };
      stored[e] = plain;
      wide[e] = withWide && dtype != DType.F32 ? widen(plain) : plain;
    }
  }

  /** Random weights, quantized or not, without {@link #wide} ones. */
  public RandomLayer(Shape shape, Stored as) {
    this(shape);
    int hidden = shape.hidden();
    int inner = shape.intermediate();
    IntStream.range(0, shape.experts())
        .parallel()
        .forEach(
            e ->
                stored[e] =
                    new Weight[] {
                      as.random(inner, hidden, arena, 3L * e),
                      as.random(inner, hidden, arena, 3L * e + 1),
                      as.random(hidden, inner, arena, 3L * e + 2)
                    });
  }

  public Shape shape() {
    return shape;
  }

  /** Router projection, E × H f32. */
  public Matrix router() {
    return router;
  }

  /** Expert {@code id} as stored. */
  public ExpertWeights expert(int id) {
    return ExpertWeights.gated(stored[id][0], stored[id][1], stored[id][2]);
  }

  /** From now on the router's bias is that of {@code routing}. */
  public void route(RoutingKind routing) {
    System.arraycopy(routing.biases(shape.experts()), 0, routerBias, 0, routerBias.length);
  }

  /** Projections of an expert in f32, row-major: w1, w3, w2. */
  public Matrix[] wide(int expert) {
    return wide[expert];
  }

  /** Bytes of an expert as stored. */
  public long expertBytes() {
    return Arrays.stream(stored[0]).mapToLong(Weight::bytes).sum();
  }

  /** Bytes of the experts as stored. */
  public long storedBytes() {
    return shape.experts() * expertBytes();
  }

  @Override
  public Matrix router(SegmentAllocator memory) {
    return router;
  }

  @Override
  public Optional<float[]> routerBias() {
    return Optional.of(routerBias);
  }

  @Override
  public Optional<float[]> selectionBias() {
    return Optional.empty();
  }

  @Override
  public ExpertWeights expert(int id, SegmentAllocator memory) {
    return expert(id);
  }

  @Override
  public Optional<ExpertWeights> sharedExpert(SegmentAllocator memory) {
    return Optional.empty();
  }

  @Override
  public Optional<float[]> sharedGate() {
    return Optional.empty();
  }

  @Override
  public Optional<float[]> outputBias() {
    return Optional.empty();
  }

  @Override
  public void close() {
    arena.close();
  }

  private Matrix random(int rows, int cols, DType dtype, long id) {
    MemorySegment data = arena.allocate(dtype.bytes((long) rows * cols), ALIGNMENT);
    RandomValues.fill(data, dtype, 1 / Math.sqrt(cols), SEED + id);
    return new Matrix(data, dtype, rows, cols);
  }

  private Matrix[] widen(Matrix[] narrow) {
    Matrix[] result = new Matrix[narrow.length];
    for (int i = 0; i < narrow.length; i++) {
      Matrix from = narrow[i];
      long count = (long) from.rows() * from.cols();
      MemorySegment to = arena.allocate(DType.F32.bytes(count), ALIGNMENT);
      LongStream.range(0, count)
          .parallel()
          .forEach(v -> DType.F32.set(to, v, from.dtype().get(from.data(), v)));
      result[i] = new Matrix(to, DType.F32, from.rows(), from.cols());
    }
    return result;
  }
}
