package org.sparkmoe.datasets.checkpoint;

import java.util.Collection;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;

/**
 * Sorts a checkpoint's tensor names into decoder layers. Feed-forward modules go by several names,
 * and tools rename them (transformers 5 and llm-compressor turn Mixtral's {@code block_sparse_moe}
 * into {@code mlp}), so each layer's module is found, not assumed.
 */
final class TensorNames {
  private static final Pattern IN_LAYER =
      Pattern.compile(
          "((?:model\\.|model\\.language_model\\.|language_model\\.model\\.|language_model\\.)?layers"
              + "|(?:transformer\\.)?blocks)"
              + "\\.(\\d{1,5})\\.(mlp|block_sparse_moe|feed_forward|ffn|shared_mlp)\\.(.+)");

  /**
   * Rests of names that only a mixture of experts has: experts, or Granite's and JetMoE's stack.
   */
  private static final Pattern OF_EXPERTS =
      Pattern.compile("experts\\..+|(input|output)_linear\\..+|router\\..+");

  /** Feed-forward modules of one layer. */
  private static final class Layer {
    final Set<String> sparseModules = new TreeSet<>();
    final Set<String> denseModules = new TreeSet<>();
  }

  private final Map<Integer, Layer> layers = new TreeMap<>();

  TensorNames(Collection<String> names) {
    for (String name : names) {
      Matcher matcher = IN_LAYER.matcher(name);
      // Granite's shared_mlp stands beside the mixture; alone it is the layer's plain feed-forward.
      if (matcher.matches()) {
        Layer layer =
            layers.computeIfAbsent(Integer.valueOf(matcher.group(2)), number -> new Layer());
        String module = name.substring(0, matcher.end(3));
        boolean beside = matcher.group(3).equals("shared_mlp");
        if (!beside && OF_EXPERTS.matcher(matcher.group(4)).matches()) {
          layer.sparseModules.add(module);
        } else {
          layer.denseModules.add(module);
        }
      }
    }
  }

  /** Numbers of all layers with a feed-forward tensor, ascending. */
  Set<Integer> layers() {
    return layers.keySet();
  }

  /** Whether the layer has a feed-forward tensor at all. */
  boolean has(int layer) {
    return layers.containsKey(layer);
  }

  boolean sparse(int layer) {
    return has(layer) && !layers.get(layer).sparseModules.isEmpty();
  }

  /**
   * The name of the layer's mixture, for example {@code model.layers.3.mlp}.
   *
   * @param where how messages name the checkpoint
   */
  String module(String where, int layer) {
    Set<String> modules = has(layer) ? layers.get(layer).sparseModules : Set.of();
    if (modules.isEmpty()) {
      throw new InputException(
          "%s: no tensors of layer %d's experts are there; download the whole checkpoint"
              .formatted(where, layer));
    }
    if (modules.size() > 1) {
      throw new InputException(
          "%s: layer %d has experts in several modules, %s; only one per layer is supported"
              .formatted(where, layer, Quoted.of(String.join(", ", modules))));
    }
    return modules.iterator().next();
  }
}
