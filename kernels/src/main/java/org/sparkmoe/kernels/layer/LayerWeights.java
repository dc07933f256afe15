package org.sparkmoe.kernels.layer;

import java.lang.foreign.SegmentAllocator;
import java.util.Optional;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.tensor.Matrix;

/**
 * The tensors of one layer, read on demand into memory of the caller, who keeps what it needs
 * instead of asking twice. Matrices are valid as long as that memory; an implementation that has
 * them in memory anyway hands out its own. Thread-safe.
 */
public interface LayerWeights {

  /** Router projection, E × H. */
  Matrix router(SegmentAllocator memory);

  /** Bias of the router's logits, E values. */
  Optional<float[]> routerBias();

  /**
   * Bias added to scores for the choice only, E values in f32 (bf16 would merge distinct experts).
   */
  Optional<float[]> selectionBias();

  /**
   * Routed expert {@code id}, 0 ≤ id &lt; E. Takes the same sizes of memory in the same order for
   * every expert.
   */
  ExpertWeights expert(int id, SegmentAllocator memory);

  /** The shared expert, present exactly where the layer's specification has one. */
  Optional<ExpertWeights> sharedExpert(SegmentAllocator memory);

  /** Gate of the shared expert, H values, present exactly where the specification says so. */
  Optional<float[]> sharedGate();

  /** Bias added once to the layer's output, H values (JetMoE). */
  Optional<float[]> outputBias();
}
