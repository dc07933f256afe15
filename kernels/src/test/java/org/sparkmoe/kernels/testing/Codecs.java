package org.sparkmoe.kernels.testing;

import java.util.List;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.tensor.ScaleType;

/** Codecs of every kind that checkpoints ask for. */
public final class Codecs {
  private Codecs() {}

  /** Every kind, for values of about 1. */
  public static List<ActivationCodec> all() {
    return List.of(
        ActivationCodec.of(ActivationScheme.int8(Granularity.TOKEN)),
        ActivationCodec.of(ActivationScheme.fp8(Granularity.TOKEN)),
        ActivationCodec.perTensor(ActivationScheme.fp8(Granularity.TENSOR), 0.01f),
        ActivationCodec.of(ActivationScheme.fp8PerBlock(128, ScaleType.F32)),
        ActivationCodec.of(ActivationScheme.fp8PerBlock(128, ScaleType.E8M0)),
        ActivationCodec.of(ActivationScheme.MXFP8),
        ActivationCodec.perTensor(ActivationScheme.NVFP4, 0.002f));
  }
}
