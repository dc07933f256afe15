package org.sparkmoe.datasets.checkpoint;

import java.io.Serializable;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.kernels.layer.ExpertFormats;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.quant.LayerSchemes;

/**
 * One mixture-of-experts layer of a checkpoint: what it computes and where its tensors are. An
 * immutable value without any weights, made on the driver and opened on executors.
 */
public final class MoeLayer implements Serializable {
  private static final long serialVersionUID = 1;

  private final String checkpoint;
  private final String family;
  private final int index;
  private final String module;
  private final MoeLayerSpec spec;
  private final TensorRef[] tensors;
  private final ShardRef[] shards;
  private final LayerPlan plan;
  private final LayerSchemes schemes;
  private final String fingerprint;

  MoeLayer(
      String checkpoint,
      String family,
      int index,
      String module,
      MoeLayerSpec spec,
      List<TensorRef> tensors,
      List<ShardRef> shards,
      LayerPlan plan,
      LayerSchemes schemes,
      String fingerprint) {
    this.checkpoint = checkpoint;
    this.family = family;
    this.index = index;
    this.module = module;
    this.spec = spec;
    this.tensors = tensors.toArray(TensorRef[]::new);
    this.shards = shards.toArray(ShardRef[]::new);
    this.plan = plan;
    this.schemes = schemes;
    this.fingerprint = fingerprint;
  }

  /** URI of the checkpoint's folder. */
  public String checkpoint() {
    return checkpoint;
  }

  /** The model's {@code model_type}. */
  public String family() {
    return family;
  }

  /** The decoder layer's number. */
  public int index() {
    return index;
  }

  /** Name of the mixture in the files, for example {@code model.layers.3.mlp}. */
  public String module() {
    return module;
  }

  public MoeLayerSpec spec() {
    return spec;
  }

  /** Every tensor of the layer. */
  public List<TensorRef> tensors() {
    return List.of(tensors);
  }

  /** The files that hold them. */
  public List<ShardRef> shards() {
    return List.of(shards);
  }

  /** Bytes of the layer's tensors as stored. */
  public long storedBytes() {
    return Arrays.stream(tensors).mapToLong(TensorRef::bytes).sum();
  }

  /** How the checkpoint asks for activations to be quantized. */
  public LayerSchemes schemes() {
    return schemes;
  }

  /** How the routed experts are stored; where they differ, the largest. */
  public ExpertFormats formats() {
    return plan.experts().formats();
  }

  /** How the shared expert is stored, where there is one. */
  public Optional<ExpertFormats> sharedFormats() {
    return Optional.ofNullable(plan.sharedOrNull()).map(LayerPlan.Shared::formats);
  }

  /**
   * SHA-256, in hex, over config.json (and hf_quant_config.json where that counts), the layer's
   * number, and name, size and header of each file involved. It changes with shapes, names, places
   * and options, not with the weights' values.
   */
  public String fingerprint() {
    return fingerprint;
  }

  /**
   * Opens the layer's files. Those on other than local file systems are copied to this machine
   * first, into the folder at {@code spark.moe.cache.dir} (by default a private one under {@code
   * java.io.tmpdir}); length and CRC-32C of a copy are checked when it is made and reused.
   *
   * @throws InputException if a file is missing or no longer the one the layer was planned with
   */
  public LayerTensors open(Configuration conf) {
    return LayerTensors.open(this, conf);
  }

  LayerPlan plan() {
    return plan;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof MoeLayer that
        && checkpoint.equals(that.checkpoint)
        && index == that.index
        && fingerprint.equals(that.fingerprint);
  }

  @Override
  public int hashCode() {
    return fingerprint.hashCode();
  }

  @Override
  public String toString() {
    return "%s layer %d (%s, %s)".formatted(checkpoint, index, module, family);
  }
}
