package org.sparkmoe.job.plan;

import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.plan.LayerPlan;

/**
 * Bytes of a token's vector in dispatch, beside what they would be in f32.
 *
 * @param codes codes and scales, once to each lane that has experts for the token
 * @param home the vector as it is, once, where the shared expert cannot take the codes
 * @param f32 as {@code codes}, of vectors in f32 that are not quantized
 * @param f32Home as {@code home}, of the same
 */
public record TokenBytes(long codes, long home, long f32, long f32Home) {

  /**
   * Of a token of a layer.
   *
   * @param tokens elements of the table's vectors
   */
  public static TokenBytes of(MoeLayerSpec spec, LayerCodecs codecs, DType tokens) {
    int hidden = spec.hidden();
    long vector = DType.F32.bytes(hidden);
    return new TokenBytes(
        LayerPlan.codeBytes(spec, codecs, tokens) + codecs.input().scheme().scaleBytes(hidden),
        LayerPlan.sendsHomeHidden(spec, codecs) ? vector : 0,
        vector,
        LayerPlan.sendsHomeHidden(spec, LayerCodecs.NONE) ? vector : 0);
  }

  /**
   * What a dispatch that took {@code bytes} would have taken in f32.
   *
   * @param tokens of the table
   * @param sent how often all of them together were sent to a lane
   */
  public long inF32(long bytes, long tokens, long sent) {
    return bytes + sent * (f32 - codes) + tokens * (f32Home - home);
  }
}
