package org.sparkmoe.kernels.testing;

import java.lang.foreign.SegmentAllocator;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.layer.LayerWeights;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.layer.SharedExpertSpec;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.testing.QuantizedTensors.Kind;

/** A layer's tensors on the heap; counts how often experts are read. */
public final class HeapLayer implements LayerWeights {
  private final Matrix router;
  private final List<ExpertWeights> experts;
  private final ExpertWeights sharedOrNull;
  private final float[] sharedGateOrNull;
  private final float[] outputBiasOrNull;
  private final AtomicInteger reads = new AtomicInteger();

  private HeapLayer(
      Matrix router,
      List<ExpertWeights> experts,
      ExpertWeights sharedOrNull,
      float[] sharedGateOrNull,
      float[] outputBiasOrNull) {
    this.router = router;
    this.experts = experts;
    this.sharedOrNull = sharedOrNull;
    this.sharedGateOrNull = sharedGateOrNull;
    this.outputBiasOrNull = outputBiasOrNull;
  }

  /** Random tensors of the shapes that {@code spec} announces, without biases in the experts. */
  public static HeapLayer random(
      MoeLayerSpec spec, boolean outputBias, DType dtype, RandomTensors random) {
    boolean gated = spec.activation().gated();
    return random(
        spec,
        outputBias,
        dtype,
        intermediate -> random.expert(spec.hidden(), intermediate, gated, false, dtype),
        random);
  }

  /** As above, with experts of a quantized kind; the activation is gated, the router bf16. */
  public static HeapLayer random(MoeLayerSpec spec, Kind kind, RandomTensors random) {
    return random(
        spec,
        false,
        DType.BF16,
        intermediate -> QuantizedTensors.expert(spec.hidden(), intermediate, false, kind, random),
        random);
  }

  private static HeapLayer random(
      MoeLayerSpec spec,
      boolean outputBias,
      DType routerType,
      IntFunction<ExpertWeights> expert,
      RandomTensors random) {
    Matrix router = random.matrix(spec.experts(), spec.hidden(), routerType);
    List<ExpertWeights> experts =
        IntStream.range(0, spec.experts())
            .mapToObj(id -> expert.apply(spec.intermediate()))
            .toList();
    ExpertWeights shared = spec.shared().map(s -> expert.apply(s.intermediate())).orElse(null);
    boolean gate = spec.shared().map(SharedExpertSpec::gated).orElse(false);
    return new HeapLayer(
        router,
        experts,
        shared,
        gate ? random.normals(spec.hidden(), 0.2) : null,
        outputBias ? random.normals(spec.hidden(), 1) : null);
  }

  /** How many routed experts have been read, repetitions included. */
  public int reads() {
    return reads.get();
  }

  @Override
  public Matrix router(SegmentAllocator memory) {
    return router;
  }

  @Override
  public Optional<float[]> routerBias() {
    return Optional.empty();
  }

  @Override
  public Optional<float[]> selectionBias() {
    return Optional.empty();
  }

  @Override
  public ExpertWeights expert(int id, SegmentAllocator memory) {
    reads.incrementAndGet();
    return experts.get(id);
  }

  @Override
  public Optional<ExpertWeights> sharedExpert(SegmentAllocator memory) {
    return Optional.ofNullable(sharedOrNull);
  }

  @Override
  public Optional<float[]> sharedGate() {
    return Optional.ofNullable(sharedGateOrNull);
  }

  @Override
  public Optional<float[]> outputBias() {
    return Optional.ofNullable(outputBiasOrNull);
  }
}
