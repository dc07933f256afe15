package org.sparkmoe.datasets.checkpoint;

import java.lang.foreign.Arena;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.hadoop.conf.Configuration;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.layer.LayerWeights;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.tensor.Matrix;

/**
 * The tensors of one layer, mapped into this process. Thread-safe; everything handed out is valid
 * until {@link #close()}, which must not run while another thread reads.
 */
public final class LayerTensors implements LayerWeights, AutoCloseable {
  private final MoeLayerSpec spec;
  private final LayerPlan plan;
  private final OpenShards shards;
  private final Arena copies = Arena.ofShared();
  private final ExpertReader reader;

  /** An expert in a transposed layout is copied once, however often it is asked for. */
  private final Map<Integer, ExpertWeights> experts = new ConcurrentHashMap<>();

  private LayerTensors(MoeLayer layer, OpenShards shards) {
    this.spec = layer.spec();
    this.plan = layer.plan();
    this.shards = shards;
    this.reader = new ExpertReader(shards, spec, copies);
  }

  static LayerTensors open(MoeLayer layer, Configuration conf) {
    return new LayerTensors(layer, new OpenShards(layer, conf));
  }

  @Override
  public Matrix router() {
    return reader.matrix(plan.router(), spec.experts(), spec.hidden());
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
  public ExpertWeights expert(int id) {
    if (id < 0 || id >= spec.experts()) {
      throw new IndexOutOfBoundsException("expert " + id + " of " + spec.experts());
    }
    return experts.computeIfAbsent(id, expert -> reader.read(plan.experts(), expert));
  }

  @Override
  public Optional<ExpertWeights> sharedExpert() {
    return spec.shared().map(shared -> reader.read(plan.sharedOrNull(), shared.intermediate()));
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
    copies.close();
  }

  private Optional<float[]> vector(String tensorOrNull, int count) {
    return Optional.ofNullable(tensorOrNull).map(tensor -> reader.vector(tensor, 0, count, 1));
  }
}
