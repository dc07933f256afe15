package org.sparkmoe.kernels.cuda;

import org.sparkmoe.kernels.cuda.PtxModule.Kernel;
import org.sparkmoe.kernels.tensor.DType;

/** For every GPU since compute capability 8.0: blocks of threads that gather their rows. */
final class PortableProducts implements Products {
  private final Tiling tiling;
  private final Kernel innerGated;
  private final Kernel innerPlain;
  private final Kernel outer;

  /** The kernels of {@code experts.cu} for weights of {@code type}. */
  PortableProducts(PtxModule module, DType type) {
    this.tiling = Tiling.of(type);
    int shared = tiling.sharedBytes();
    this.innerGated = module.kernel("inner_gated", type, shared);
    this.innerPlain = module.kernel("inner_plain", type, shared);
    this.outer = module.kernel("outer", type, shared);
  }

  @Override
  public int tileRows() {
    return tiling.rows();
  }

  @Override
  public void launch(
      Stream stream, Batch batch, TilePlan tiles, long plan, GpuActivation activation) {
    GpuShape shape = batch.shape();
    boolean gated = shape.gated();
    stream.launch(
        gated ? innerGated : innerPlain,
        // The padding too: the next product multiplies it by zeros, and it must be a number.
        tiling.columns(shape.paddedIntermediate(), gated ? 2 : 1),
        tiles.count(),
        tiling.threads(),
        tiling.sharedBytes(),
        batch.x(),
        batch.tokenOfOrZero(),
        plan + tiles.offset(),
        plan,
        batch.inner(),
        shape.paddedHidden(),
        shape.intermediate(),
        shape.paddedIntermediate(),
        activation.kind(),
        activation.alpha(),
        activation.beta(),
        activation.limit());
    stream.launch(
        outer,
        tiling.columns(shape.hidden(), 1),
        tiles.count(),
        tiling.threads(),
        tiling.sharedBytes(),
        batch.inner(),
        plan + tiles.offset(),
        plan,
        batch.out(),
        shape.paddedIntermediate(),
        shape.hidden());
  }

  @Override
  public String toString() {
    return "portable";
  }
}
