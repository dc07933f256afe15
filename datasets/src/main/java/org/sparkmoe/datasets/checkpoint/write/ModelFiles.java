package org.sparkmoe.datasets.checkpoint.write;

import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.cfg.JsonNodeFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** The files of a checkpoint beside its weights. */
final class ModelFiles {
  static final String CONFIG = "config.json";
  static final String INDEX = "model.safetensors.index.json";

  /** Weights in any form, their indexes, hidden files, and what is written anew. */
  private static final Pattern NOT_COPIED =
      Pattern.compile(
          "\\..*|config\\.json|.*\\.(safetensors|bin|pt|pth|gguf|h5|msgpack|onnx)"
              + "|.*\\.(safetensors|bin)\\.index\\.json");

  /** Numbers keep their digits, and Infinity, which Python writes, is read and written bare. */
  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          .disable(JsonWriteFeature.WRITE_NAN_AS_STRINGS)
          .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
          .enable(SerializationFeature.INDENT_OUTPUT)
          .disable(JsonNodeFeature.STRIP_TRAILING_BIGDECIMAL_ZEROES)
          .build();

  private ModelFiles() {}

  /** The source's configuration with a {@code quantization_config}. */
  static byte[] config(byte[] source, ObjectNode quantization) {
    try {
      ObjectNode config = (ObjectNode) JSON.readTree(source);
      config.set("quantization_config", quantization);
      return json(config);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The index of shards. */
  static byte[] index(List<ShardPlan.Shard> shards) {
    Map<String, String> shardOf = new TreeMap<>();
    long bytes = 0;
    for (ShardPlan.Shard shard : shards) {
      for (Entry entry : shard.entries()) {
        shardOf.put(entry.name(), shard.name());
        bytes += entry.bytes();
      }
    }
    ObjectNode index = JSON.createObjectNode();
    index.putObject("metadata").put("total_size", bytes);
    ObjectNode map = index.putObject("weight_map");
    shardOf.forEach(map::put);
    return json(index);
  }

  /** Names of the other files in a checkpoint's folder: tokenizer, generation settings, licence. */
  static List<String> others(FileSystem files, Path folder) {
    List<String> names = new ArrayList<>();
    try {
      for (FileStatus file : files.listStatus(folder)) {
        String name = file.getPath().getName();
        if (file.isFile() && !NOT_COPIED.matcher(name).matches()) {
          names.add(name);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    names.sort(null);
    return names;
  }

  /** Copies a file. */
  static void copy(FileSystem files, Path folder, String name, OutputFolder to) {
    to.write(
        name,
        out -> {
          try (InputStream in = files.open(new Path(folder, name))) {
            in.transferTo(out);
          }
        });
  }

  private static byte[] json(JsonNode node) {
    try {
      return JSON.writeValueAsBytes(node);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
