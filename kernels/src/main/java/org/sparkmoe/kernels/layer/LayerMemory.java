package org.sparkmoe.kernels.layer;

import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.tensor.DType;

/**
 * What a prepared layer needs, in bytes and at most; known before anything is read.
 *
 * @param pinned router and shared expert, which stay as long as the layer
 * @param expert one routed expert, packed
 * @param experts E
 * @param staging buffers that experts are read into
 */
public record LayerMemory(long pinned, long expert, int experts, long staging) {
  /** Staging of all threads together, where not a single expert is larger. */
  private static final long STAGING_BYTES = 64L << 20;

  /**
   * The memory of a layer.
   *
   * @param routed how the routed experts are stored
   * @param sharedOrNull how the shared expert is stored, where there is one
   */
  public static LayerMemory of(
      MoeLayerSpec spec, ExpertFormats routed, ExpertFormats sharedOrNull, ExpertKernel kernel) {
    boolean gated = spec.activation().gated();
    int hidden = spec.hidden();
    long shared =
        spec.shared()
            .map(
                s ->
                    kernel.preparedBytes(
                            sharedOrNull.in(), sharedOrNull.down(), hidden, s.intermediate(), gated)
                        + (s.gated() ? gateBytes(hidden, kernel) : 0))
            .orElse(0L);
    return new LayerMemory(
        kernel.gatingBytes(spec.routing(), DType.F32, spec.experts(), hidden) + shared,
        kernel.preparedBytes(routed.in(), routed.down(), hidden, spec.intermediate(), gated),
        spec.experts(),
        stagingBuffers(spec) * routed.bytes(hidden, spec.intermediate(), gated));
  }

  /** Pinned memory and all experts. */
  public long whole() {
    return pinned + experts * expert;
  }

  /** The least with which {@code tasks} tasks do not wait for one another. */
  public long least(int tasks) {
    return pinned + Math.min(tasks, experts) * expert;
  }

  /** What {@code kernel} makes of these weights, at most. */
  static long preparedBytes(ExpertWeights weights, ExpertKernel kernel) {
    ExpertFormats formats = ExpertFormats.of(weights);
    return kernel.preparedBytes(
        formats.in(),
        formats.down(),
        weights.hidden(),
        weights.intermediate(),
        weights.w3().isPresent());
  }

  /** What {@code kernel} makes of a shared expert and, where it is gated, of its gate, at most. */
  static long sharedBytes(ExpertWeights weights, boolean gated, ExpertKernel kernel) {
    return preparedBytes(weights, kernel) + (gated ? gateBytes(weights.hidden(), kernel) : 0);
  }

  /** Buffers that experts are read into at the same time. */
  static int stagingBuffers(MoeLayerSpec spec) {
    boolean gated = spec.activation().gated();
    long bytes = ExpertFormats.of(DType.F32).bytes(spec.hidden(), spec.intermediate(), gated);
    return Math.clamp(STAGING_BYTES / bytes, 1, 1024);
  }

  private static long gateBytes(int hidden, ExpertKernel kernel) {
    return kernel.gemm().packedBytes(DType.F32, 1, hidden);
  }
}
