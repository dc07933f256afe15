package org.sparkmoe.datasets.checkpoint;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;

/** {@code model.safetensors.index.json}: which shard holds which tensor. */
final class ShardIndex {
  private static final int MAX_TENSORS = 1_000_000;
  private static final int MAX_SHARDS = 10_000;

  /** A plain name of a file in the folder: no separator, no drive, nothing hidden. */
  private static final Pattern SHARD_NAME =
      Pattern.compile("[A-Za-z0-9_][A-Za-z0-9_.+=@-]{0,200}\\.safetensors");

  private ShardIndex() {}

  /**
   * Tensor names to shard names.
   *
   * @param file how messages name the index
   */
  static Map<String, String> parse(String file, byte[] json) {
    return StrictJson.parse(
        file,
        json,
        parser -> {
          if (parser.nextToken() != JsonToken.START_OBJECT) {
            throw StrictJson.bad(file, "is not a JSON object", null);
          }
          Map<String, String> weightMap = null;
          while (parser.nextToken() == JsonToken.FIELD_NAME) {
            boolean isMap = parser.currentName().equals("weight_map");
            parser.nextToken();
            if (isMap) {
              weightMap = readMap(file, parser);
            } else {
              parser.skipChildren();
            }
          }
          if (weightMap == null || weightMap.isEmpty()) {
            throw StrictJson.bad(file, "has no weight_map with tensors", null);
          }
          return weightMap;
        });
  }

  private static Map<String, String> readMap(String file, JsonParser parser) throws IOException {
    if (parser.currentToken() != JsonToken.START_OBJECT) {
      throw StrictJson.bad(file, "has a weight_map that is not an object", null);
    }
    Map<String, String> shards = new HashMap<>();
    Map<String, String> weightMap = new LinkedHashMap<>();
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String tensor = parser.currentName();
      if (parser.nextToken() != JsonToken.VALUE_STRING) {
        throw StrictJson.bad(
            file, "maps tensor " + Quoted.of(tensor) + " to something not a name", null);
      }
      if (weightMap.size() == MAX_TENSORS) {
        throw StrictJson.bad(file, "names more than " + MAX_TENSORS + " tensors, the limit", null);
      }
      // One String per shard, not per tensor.
      String shard = shards.computeIfAbsent(parser.getText(), name -> checked(file, tensor, name));
      if (shards.size() > MAX_SHARDS) {
        throw StrictJson.bad(file, "names more than " + MAX_SHARDS + " shards, the limit", null);
      }
      weightMap.put(tensor, shard);
    }
    return weightMap;
  }

  private static String checked(String file, String tensor, String shard) {
    if (!SHARD_NAME.matcher(shard).matches()) {
      throw new InputException(
          "%s maps tensor %s to %s, which is not the plain name of a .safetensors file in the folder;"
                  .formatted(file, Quoted.of(tensor), Quoted.of(shard))
              + " fetch the checkpoint from a source you trust");
    }
    return shard;
  }
}
