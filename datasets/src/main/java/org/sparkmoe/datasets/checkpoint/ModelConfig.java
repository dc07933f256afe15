package org.sparkmoe.datasets.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;

/**
 * The {@code config.json} of a model, or the part of it that describes the language model. Every
 * read names its range; a value outside is refused. A key may have aliases, because transformers
 * renames keys when it saves ({@code num_experts} of Qwen3-MoE becomes {@code num_local_experts});
 * aliases that disagree are refused.
 */
final class ModelConfig {
  private final String file;
  private final ObjectNode root;
  private final ObjectNode model;

  private ModelConfig(String file, ObjectNode root, ObjectNode model) {
    this.file = file;
    this.root = root;
    this.model = model;
  }

  /**
   * @param file how messages name the file
   */
  static ModelConfig parse(String file, byte[] json) {
    ObjectNode root = StrictJson.object(file, json);
    // Multimodal models nest the language model; some leave its type to the outer level.
    if (root.get("text_config") instanceof ObjectNode text) {
      return new ModelConfig(file, root, text);
    }
    return new ModelConfig(file, root, root);
  }

  String modelType() {
    JsonNode own = model.hasNonNull("model_type") ? model : root;
    return new ModelConfig(file, root, (ObjectNode) own)
        .text("model_type")
        .orElseThrow(() -> bad("has no model_type, so the model's family is unknown"));
  }

  /** The object at {@code key} as a configuration of its own. */
  ModelConfig child(String key) {
    if (model.get(key) instanceof ObjectNode child) {
      return new ModelConfig(file, root, child);
    }
    throw bad("has no object " + key);
  }

  boolean has(String key) {
    return model.hasNonNull(key);
  }

  /** Whether {@code key} is there and says null. */
  boolean isNull(String key) {
    return model.has(key) && model.get(key).isNull();
  }

  /** Whether {@code key} is there and holds a list. */
  boolean isList(String key) {
    return model.path(key).isArray();
  }

  int integer(int min, int max, String... keys) {
    return optionalInteger(min, max, keys)
        .orElseThrow(() -> bad("lacks " + String.join(" or ", keys)));
  }

  int integerOr(int fallback, int min, int max, String... keys) {
    return optionalInteger(min, max, keys).orElse(fallback);
  }

  OptionalInt optionalInteger(int min, int max, String... keys) {
    OptionalInt found = OptionalInt.empty();
    for (String key : keys) {
      if (has(key)) {
        int value = integer(key, model.get(key), min, max);
        if (found.isPresent() && found.getAsInt() != value) {
          throw bad(
              "has %d for %s, but %d for one of its aliases (%s)"
                  .formatted(value, key, found.getAsInt(), String.join(", ", keys)));
        }
        found = OptionalInt.of(value);
      }
    }
    return found;
  }

  /** A number for all layers, or a list with one for each (Hunyuan). */
  OptionalInt perLayer(int layer, int min, int max, String key) {
    if (!isList(key)) {
      return optionalInteger(min, max, key);
    }
    List<Integer> values = integers(key, min, max).orElseThrow();
    if (layer >= values.size()) {
      throw bad("has %d values for %s, layer %d needs more".formatted(values.size(), key, layer));
    }
    return OptionalInt.of(values.get(layer));
  }

  Optional<List<Integer>> integers(String key, int min, int max) {
    return list(key)
        .map(nodes -> nodes.stream().map(node -> integer(key, node, min, max)).toList());
  }

  Optional<List<String>> texts(String key) {
    return list(key).map(nodes -> nodes.stream().map(node -> text(key, node)).toList());
  }

  boolean flag(String key, boolean fallback) {
    if (!has(key)) {
      return fallback;
    }
    JsonNode node = model.get(key);
    if (!node.isBoolean()) {
      throw bad("has %s for %s, which must be true or false".formatted(shown(node), key));
    }
    return node.booleanValue();
  }

  /** A finite number, {@code min} or more. */
  double number(String key, double fallback, double min) {
    if (!has(key)) {
      return fallback;
    }
    JsonNode node = model.get(key);
    double value = node.isNumber() ? node.doubleValue() : Double.NaN;
    if (!(value >= min && value <= Double.MAX_VALUE)) {
      throw bad("has %s for %s, which must be a number >= %s".formatted(shown(node), key, min));
    }
    return value;
  }

  Optional<String> text(String key) {
    return has(key) ? Optional.of(text(key, model.get(key))) : Optional.empty();
  }

  /** Refuses a value of {@code key} other than {@code allowed}, if there is one. */
  void expectText(String key, String... allowed) {
    Optional<String> value = text(key);
    if (value.isPresent() && !List.of(allowed).contains(value.get())) {
      throw contradiction(key, Quoted.of(value.get()), String.join(" or ", allowed));
    }
  }

  /** Refuses a value of {@code key} other than {@code allowed}, if there is one. */
  void expectInteger(String key, int allowed) {
    if (has(key) && !(model.get(key).isInt() && model.get(key).intValue() == allowed)) {
      throw contradiction(key, shown(model.get(key)), Integer.toString(allowed));
    }
  }

  /** Refuses a value of {@code key} other than {@code allowed}, if there is one. */
  void expectFlag(String key, boolean allowed) {
    if (flag(key, allowed) != allowed) {
      throw contradiction(key, shown(model.get(key)), Boolean.toString(allowed));
    }
  }

  /** The {@code quantization_config}, if there is one. */
  Optional<ModelConfig> quantization() {
    for (ObjectNode node : List.of(root, model)) {
      if (node.hasNonNull("quantization_config")) {
        return Optional.of(new ModelConfig(file, root, node).child("quantization_config"));
      }
    }
    return Optional.empty();
  }

  /** The object at {@code key}, unless it is missing or null. */
  Optional<ModelConfig> optionalChild(String key) {
    return has(key) ? Optional.of(child(key)) : Optional.empty();
  }

  /** Whether {@code key} is there and holds an object. */
  boolean isObject(String key) {
    return model.path(key).isObject();
  }

  /** The keys of the object at {@code key}, in its order; none if it is missing or null. */
  List<String> keysOf(String key) {
    List<String> keys = new ArrayList<>();
    optionalChild(key).ifPresent(child -> child.model.fieldNames().forEachRemaining(keys::add));
    return keys;
  }

  /** Whether {@code key} is there and holds true or false. */
  boolean isFlag(String key) {
    return model.path(key).isBoolean();
  }

  /** Whether {@code key} is there and holds a string. */
  boolean isText(String key) {
    return model.path(key).isTextual();
  }

  /** Whether {@code key} is there and holds a string or true. */
  boolean flagOrText(String key) {
    return isText(key) || flag(key, false);
  }

  /** The value of {@code key}, for messages. */
  String shown(String key) {
    return has(key) ? shown(model.get(key)) : "none";
  }

  /** Refuses a string at {@code key} other than {@code known}, if there is one. */
  void requireText(String key, String... known) {
    Optional<String> value = text(key);
    if (value.isPresent() && !List.of(known).contains(value.get())) {
      throw bad(
          "has %s for %s, supported are %s"
              .formatted(Quoted.of(value.get()), key, String.join(", ", known)));
    }
  }

  /** Refuses a value of {@code key} other than {@code known}, if there is one. */
  void requireInteger(String key, int known) {
    if (has(key) && !(model.get(key).isInt() && model.get(key).intValue() == known)) {
      throw bad("has %s for %s, supported is %d".formatted(shown(key), key, known));
    }
  }

  InputException unknownType(Collection<String> known) {
    return new InputException(
        "%s has model_type %s, which is not supported; supported are %s"
            .formatted(file, Quoted.of(modelType()), String.join(", ", known)));
  }

  InputException bad(String what) {
    return new InputException(
        "%s %s; use the configuration that came with the weights".formatted(file, what));
  }

  private InputException contradiction(String key, String value, String allowed) {
    return new InputException(
        "%s has %s %s, but model_type %s is only known with %s; this variant is not supported"
            .formatted(file, key, value, Quoted.of(modelType()), allowed));
  }

  private Optional<List<JsonNode>> list(String key) {
    if (!has(key)) {
      return Optional.empty();
    }
    if (!isList(key)) {
      throw bad("has %s for %s, which must be a list".formatted(shown(model.get(key)), key));
    }
    List<JsonNode> nodes = new ArrayList<>();
    model.get(key).forEach(nodes::add);
    return Optional.of(nodes);
  }

  private int integer(String key, JsonNode node, int min, int max) {
    if (!node.isInt() || node.intValue() < min || node.intValue() > max) {
      throw bad(
          "has %s for %s, which must be a whole number from %d to %d"
              .formatted(shown(node), key, min, max));
    }
    return node.intValue();
  }

  private String text(String key, JsonNode node) {
    if (!node.isTextual()) {
      throw bad("has %s for %s, which must be a string".formatted(shown(node), key));
    }
    return node.textValue();
  }

  private static String shown(JsonNode node) {
    return node.isContainerNode() ? "a list or object" : Quoted.of(node.asText());
  }
}
