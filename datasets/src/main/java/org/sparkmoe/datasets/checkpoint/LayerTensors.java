package org.sparkmoe.datasets.checkpoint;

import java.lang.foreign.SegmentAllocator;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.layer.LayerWeights;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.tensor.Matrix;

/**
 * The tensors of one layer in open files. Thread-safe until {@link #close()}; what was handed out
 * is in the caller's memory and stays valid.
 */
public final class LayerTensors implements LayerWeights, AutoCloseable {
  private final MoeLayerSpec spec;
  private final LayerPlan plan;
  private final OpenShards shards;
  private final ExpertReader reader;

  private LayerTensors(MoeLayer layer, OpenShards shards) {
    this.spec = layer.spec();
    this.plan = layer.plan();
    this.shards = shards;
    this.reader = new ExpertReader(shards, spec);
  }

  static LayerTensors open(MoeLayer layer, Configuration conf) {
    return new LayerTensors(layer, new OpenShards(layer, conf));
  }

  @Override
  public Matrix router(SegmentAllocator memory) {
    return reader.matrix(plan.router(), spec.experts(), spec.hidden(), memory);
  }

  @Override
  public Optional<float[]> routerBias() {
    return vector(plan.routerBiasOrNull(), spec.experts());
  }

  @Override
  public Optional<float[]> selectionBias() {
    return vector(plan.selectionBiasOrNull(), spec.experts());
  }

  @Override
  public ExpertWeights expert(int id, SegmentAllocator memory) {
    if (id < 0 || id >= spec.experts()) {
      throw new IndexOutOfBoundsException("expert " + id + " of " + spec.experts());
    }
    return reader.read(plan.experts(), id, memory);
  }

  @Override
  public Optional<ExpertWeights> sharedExpert(SegmentAllocator memory) {
    return Optional.ofNullable(plan.sharedOrNull()).map(shared -> reader.read(shared, memory));
  }

  @Override
  public Optional<float[]> sharedGate() {
    return vector(plan.sharedGateOrNull(), spec.hidden());
  }

  @Override
  public Optional<float[]> outputBias() {
    return vector(plan.outputBiasOrNull(), spec.hidden());
  }

  @Override
  public void close() {
    shards.close();
  }

  private Optional<float[]> vector(String tensorOrNull, int count) {
    return Optional.ofNullable(tensorOrNull).map(tensor -> reader.vector(tensor, 0, count, 1));
  }
}
