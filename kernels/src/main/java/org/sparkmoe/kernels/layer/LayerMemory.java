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
   * @param dtype the widest that an expert is stored in
   */
  public static LayerMemory of(MoeLayerSpec spec, DType dtype, ExpertKernel kernel) {
    boolean gated = spec.activation().gated();
    int hidden = spec.hidden();
    long shared =
        spec.shared()
            .map(
                s ->
                    kernel.preparedBytes(dtype, hidden, s.intermediate(), gated)
                        + (s.gated() ? gateBytes(hidden, kernel) : 0))
            .orElse(0L);
    return new LayerMemory(
        kernel.gemm().packedBytes(DType.F32, spec.experts(), hidden) + shared,
        kernel.preparedBytes(dtype, hidden, spec.intermediate(), gated),
        spec.experts(),
        stagingBuffers(spec) * storedBytes(spec, dtype));
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
    DType dtype = widest(weights.w1().dtype(), weights.w2().dtype());
    boolean gated = weights.w3().isPresent();
    if (gated) {
      dtype = widest(dtype, weights.w3OrNull().dtype());
    }
    return kernel.preparedBytes(dtype, weights.hidden(), weights.intermediate(), gated);
  }

  /** What {@code kernel} makes of a shared expert and, where it is gated, of its gate, at most. */
  static long sharedBytes(ExpertWeights weights, boolean gated, ExpertKernel kernel) {
    return preparedBytes(weights, kernel) + (gated ? gateBytes(weights.hidden(), kernel) : 0);
  }

  /** Buffers that experts are read into at the same time. */
  static int stagingBuffers(MoeLayerSpec spec) {
    return Math.clamp(STAGING_BYTES / storedBytes(spec, DType.F32), 1, 1024);
  }

  private static long gateBytes(int hidden, ExpertKernel kernel) {
    return kernel.gemm().packedBytes(DType.F32, 1, hidden);
  }

  private static long storedBytes(MoeLayerSpec spec, DType dtype) {
    int projections = spec.activation().gated() ? 3 : 2;
    return dtype.bytes((long) projections * spec.hidden() * spec.intermediate());
  }

  private static DType widest(DType one, DType other) {
    return one.bytes() >= other.bytes() ? one : other;
  }
}
