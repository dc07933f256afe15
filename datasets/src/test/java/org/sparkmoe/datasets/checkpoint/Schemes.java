package org.sparkmoe.datasets.checkpoint;

import org.sparkmoe.kernels.quant.LayerSchemes;

/** Layers whose activations are quantized in ways that their checkpoints do not ask for. */
public final class Schemes {
  private Schemes() {}

  /** {@code layer}, as if its checkpoint asked for {@code schemes}. */
  public static MoeLayer of(MoeLayer layer, LayerSchemes schemes) {
    return new MoeLayer(
        layer.checkpoint(),
        layer.family(),
        layer.index(),
        layer.module(),
        layer.spec(),
        layer.tensors(),
        layer.shards(),
        layer.plan(),
        schemes,
        layer.fingerprint());
  }
}
