package org.sparkmoe.datasets.checkpoint;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.datasets.safetensors.TensorInfo;

/**
 * A Hugging Face checkpoint folder: {@code config.json} and safetensors weights, in one file or in
 * shards with an index. Opening reads the configuration and names; {@link #layer} reads the headers
 * of the shards it needs, and the few scalars that belong to the plan. Weights are neither read nor
 * copied here. Not thread-safe.
 */
public final class Checkpoint {
  private final CheckpointFolder folder;
  private final byte[] configBytes;
  private final ModelConfig config;
  private final QuantSettings quantization;
  private final Family family;
  private final Map<String, String> shardOf;
  private final TensorNames names;
  private final NavigableMap<Integer, LayerKind> layers;
  private final Map<String, CheckpointFolder.Shard> shards = new HashMap<>();

  private Checkpoint(CheckpointFolder folder) {
    this.folder = folder;
    this.configBytes = folder.config();
    this.config = ModelConfig.parse(folder.label("config.json"), configBytes);
    this.quantization = QuantSettings.of(folder, config);
    this.family = Families.of(config);
    this.shardOf = folder.tensors();
    this.names = new TensorNames(shardOf.keySet());
    this.layers = Collections.unmodifiableNavigableMap(classify());
  }

  /**
   * Opens the checkpoint in {@code dir}.
   *
   * @param dir a folder on any file system that {@code conf} resolves: a plain path, {@code file:},
   *     {@code hdfs:}, {@code s3a:}
   * @throws InputException if the folder is no checkpoint, of no known family, or contradicts
   *     itself
   */
  public static Checkpoint open(String dir, Configuration conf) {
    return new Checkpoint(CheckpointFolder.open(dir, conf));
  }

  /** The folder, with its scheme. */
  public String uri() {
    return folder.uri();
  }

  /** The model's family: its {@code model_type}, that of the language model where one is nested. */
  public String family() {
    return config.modelType();
  }

  /** The bytes of {@code config.json}. */
  public byte[] configJson() {
    return configBytes.clone();
  }

  /** Method and format of quantization as the configuration names them, where it has any. */
  public Optional<String> quantization() {
    return quantization
        .settings()
        .map(
            settings ->
                Stream.of("quant_method", "quant_algo", "format")
                    .flatMap(key -> settings.text(key).stream())
                    .collect(Collectors.joining(" ")));
  }

  /**
   * Every tensor, file by file and as they follow each other there. Reads the headers of all
   * shards.
   *
   * @throws InputException if a shard is missing or damaged, or does not hold what the index says
   */
  public List<TensorRef> tensors() {
    return shardOf.entrySet().stream()
        .map(entry -> tensor(entry.getKey(), entry.getValue()))
        .sorted(Comparator.comparing(TensorRef::shard).thenComparingLong(TensorRef::begin))
        .toList();
  }

  /** Every decoder layer by number, ascending. */
  public NavigableMap<Integer, LayerKind> layers() {
    return layers;
  }

  /** Numbers of the layers that are mixtures of experts, ascending. */
  public List<Integer> moeLayers() {
    return layers.entrySet().stream()
        .filter(layer -> layer.getValue() == LayerKind.MOE)
        .map(Map.Entry::getKey)
        .toList();
  }

  /**
   * The mixture at layer {@code n}.
   *
   * @throws InputException if the layer is none, or its tensors are missing, of another type or
   *     shape than the configuration says, or not understood
   */
  public MoeLayer layer(int n) {
    if (layers.get(n) != LayerKind.MOE) {
      throw new InputException(
          "%s: layer %d %s; layers with experts are %s"
              .formatted(Quoted.of(uri()), n, whatInstead(n), Ranges.of(moeLayers())));
    }
    LayerRecipe recipe = family.recipe(config, n);
    String module = names.module(Quoted.of(uri()), n);
    String where = "%s layer %d (%s)".formatted(Quoted.of(uri()), n, Quoted.of(module));
    Map<String, TensorRef> tensors = tensorsOf(module);
    ModuleTensors named = new ModuleTensors(where, config, tensors);
    LayerActivations activations = new LayerActivations();
    LinearPlanner linears = new LinearPlanner(named, quantization.settings());
    LayerPlan plan = new LayerPlanner(named, linears, activations, module, recipe).plan();
    SmallTensors small = new SmallTensors(folder);
    SymmetryCheck.of(plan).ifPresent(zeros -> zeros.check(small, named));
    List<ShardRef> involved =
        tensors.values().stream()
            .map(TensorRef::shard)
            .distinct()
            .sorted()
            .map(this::shard)
            .map(shard -> new ShardRef(shard.name(), shard.size(), shard.header().sha256()))
            .toList();
    return new MoeLayer(
        uri(),
        family(),
        n,
        module,
        recipe.spec(),
        List.copyOf(tensors.values()),
        involved,
        plan,
        activations.schemes(small.scalars(activations.scales()), named),
        Fingerprint.of(configBytes, quantization.fileOrNull(), n, involved));
  }

  private String whatInstead(int n) {
    LayerKind kind = layers.get(n);
    if (kind == LayerKind.DENSE) {
      return "is dense";
    }
    if (kind == LayerKind.MTP) {
      return "is for multi-token prediction and no part of the model proper";
    }
    return "does not exist, the model has layers 0-" + (family.layers(config) - 1);
  }

  private NavigableMap<Integer, LayerKind> classify() {
    NavigableMap<Integer, LayerKind> kinds = new TreeMap<>();
    List<String> contradictions = new ArrayList<>();
    int count = family.layers(config);
    for (int n = 0; n < count; n++) {
      boolean sparse = family.sparse(config, n);
      kinds.put(n, sparse ? LayerKind.MOE : LayerKind.DENSE);
      if (names.has(n) && names.sparse(n) != sparse) {
        contradictions.add(
            "layer %d is %s by config.json, but %s by its tensors"
                .formatted(n, sparse ? "sparse" : "dense", sparse ? "dense" : "sparse"));
      }
    }
    if (!contradictions.isEmpty()) {
      throw new InputException(
          "%s: %s%s; config.json and weights must be of one model"
              .formatted(
                  Quoted.of(uri()),
                  contradictions.getFirst(),
                  contradictions.size() == 1
                      ? ""
                      : " (and %d more layers)".formatted(contradictions.size() - 1)));
    }
    names.layers().stream().filter(n -> n >= count).forEach(n -> kinds.put(n, LayerKind.MTP));
    return kinds;
  }

  private Map<String, TensorRef> tensorsOf(String module) {
    Map<String, TensorRef> tensors = new LinkedHashMap<>();
    shardOf.forEach(
        (name, shard) -> {
          if (LayerPlanner.belongs(module, name)) {
            tensors.put(name, tensor(name, shard));
          }
        });
    return tensors;
  }

  private TensorRef tensor(String name, String shard) {
    TensorInfo info = shard(shard).header().tensors().get(name);
    if (info == null) {
      throw new InputException(
          "%s does not hold tensor %s, though the index says so; download both again"
              .formatted(folder.label(shard), Quoted.of(name)));
    }
    return new TensorRef(name, shard, info.dtype(), info.shape(), info.begin(), info.end());
  }

  private CheckpointFolder.Shard shard(String name) {
    return shards.computeIfAbsent(name, folder::shard);
  }
}
