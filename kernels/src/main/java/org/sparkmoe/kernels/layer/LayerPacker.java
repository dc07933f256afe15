package org.sparkmoe.kernels.layer;

import java.util.concurrent.atomic.AtomicInteger;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.experts.PreparedExpert;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.store.ExpertPacker;

/** Reads routed experts into staging memory and packs them from there. */
final class LayerPacker implements ExpertPacker, AutoCloseable {
  private final MoeLayerSpec spec;
  private final LayerWeights weights;
  private final ExpertKernel kernel;
  private final LayerCodecs codecs;
  private final StagingPool staging;
  private final AtomicInteger left;

  LayerPacker(MoeLayerSpec spec, LayerWeights weights, ExpertKernel kernel, LayerCodecs codecs) {
    this.spec = spec;
    this.weights = weights;
    this.kernel = kernel;
    this.codecs = codecs;
    this.staging = new StagingPool(LayerMemory.stagingBuffers(spec), kernel);
    this.left = new AtomicInteger(spec.experts());
  }

  /**
   * Room is reserved after reading: until then, what has to go for it can still be used. After as
   * many experts as the layer has, all of them are likely there, and staging memory is freed.
   */
  @Override
  public PreparedExpert pack(int id, Room room) {
    PreparedExpert expert = packed(id, room);
    if (left.decrementAndGet() == 0) {
      staging.trim();
    }
    return expert;
  }

  private PreparedExpert packed(int id, Room room) {
    try (StagingPool.Buffer memory = staging.take()) {
      ExpertWeights tensors = weights.expert(id, memory);
      LayerShapes.checkExpert("expert " + id, tensors, spec.hidden(), spec.intermediate());
      return kernel.prepare(
          tensors,
          spec.activation(),
          codecs.input(),
          codecs.inner(),
          room.reserve(LayerMemory.preparedBytes(tensors, kernel)));
    }
  }

  @Override
  public void close() {
    staging.close();
  }
}
