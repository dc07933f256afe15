package org.sparkmoe.kernels.layer;

import java.util.Optional;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.tensor.Matrix;

/**
 * The tensors of one layer, read on demand. Implementations are thread-safe; what they return stays
 * valid until the owner of the implementation closes it.
 */
public interface LayerWeights {

  /** Router projection, E × H. */
  Matrix router();

  /** Bias of the router's logits, E values. */
  Optional<float[]> routerBias();

  /**
   * Bias added to scores for the choice only, E values in f32 (bf16 would merge distinct experts).
   */
  Optional<float[]> selectionBias();

  /**
   * Routed expert {@code id}, 0 ≤ id &lt; E. Reads the expert's tensors; callers keep what they get
   * instead of asking twice.
   */
  ExpertWeights expert(int id);

  /** The shared expert, present exactly where the layer's specification has one. */
  Optional<ExpertWeights> sharedExpert();

  /** Gate of the shared expert, H values, present exactly where the specification says so. */
  Optional<float[]> sharedGate();

  /** Bias added once to the layer's output, H values (JetMoE). */
  Optional<float[]> outputBias();
}
