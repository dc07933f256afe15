package org.sparkmoe.kernels.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.SegmentAllocator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.sparkmoe.kernels.cuda.Gpu;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.layer.LayerWeights;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.Weight;

/**
 * A random layer whose experts lie in page-locked memory: what they are streamed from where they do
 * not fit on the GPU, and the disk is no part of the measurement.
 */
record PinnedLayer(RandomLayer layer, List<ExpertWeights> experts) implements LayerWeights {

  /** Copies the experts of {@code layer}, which are plain and gated and have no biases. */
  static PinnedLayer of(RandomLayer layer, int count, Gpu gpu, Arena arena) {
    List<ExpertWeights> experts =
        IntStream.range(0, count)
            .mapToObj(layer::expert)
            .map(
                expert ->
                    ExpertWeights.gated(
                        copy(expert.w1(), gpu, arena),
                        copy(expert.w3OrNull(), gpu, arena),
                        copy(expert.w2(), gpu, arena)))
            .toList();
    return new PinnedLayer(layer, experts);
  }

  private static Matrix copy(Weight weight, Gpu gpu, Arena arena) {
    Matrix matrix = (Matrix) weight;
    return new Matrix(
        gpu.pinned(matrix.data().byteSize(), arena).copyFrom(matrix.data()),
        matrix.dtype(),
        matrix.rows(),
        matrix.cols());
  }

  @Override
  public Matrix router(SegmentAllocator memory) {
    return layer.router(memory);
  }

  @Override
  public Optional<float[]> routerBias() {
    return layer.routerBias();
  }

  @Override
  public Optional<float[]> selectionBias() {
    return layer.selectionBias();
  }

  @Override
  public ExpertWeights expert(int id, SegmentAllocator memory) {
    return experts.get(id);
  }

  @Override
  public Optional<ExpertWeights> sharedExpert(SegmentAllocator memory) {
    return layer.sharedExpert(memory);
  }

  @Override
  public Optional<float[]> sharedGate() {
    return layer.sharedGate();
  }

  @Override
  public Optional<float[]> outputBias() {
    return layer.outputBias();
  }
}
