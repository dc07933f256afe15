package org.sparkmoe.datasets.fuzz;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.checkpoint.SafetensorsWriter;
import org.sparkmoe.datasets.safetensors.SafetensorsHeader;

/** Whole files to damage. */
final class Corpus {
  static final String CONFIG = "config.json";
  static final String WEIGHTS = "model.safetensors";
  static final String INDEX = "model.safetensors.index.json";

  /** A Mixtral of one layer: H 6, I 4, E 3, top 2. */
  static final byte[] TINY_CONFIG = tinyConfig();

  /** The weights of {@link #TINY_CONFIG}. */
  static final byte[] TINY_WEIGHTS = tinyWeights();

  private static final Map<Path, byte[]> READ = new ConcurrentHashMap<>();

  private Corpus() {}

  static byte[] config(Path folder) {
    return file(folder.resolve(CONFIG));
  }

  private static byte[] tinyConfig() {
    return """
    {"model_type":"mixtral","hidden_size":6,"intermediate_size":4,"num_local_experts":3,
     "num_experts_per_tok":2,"num_hidden_layers":1,"hidden_act":"silu"}\
    """
        .getBytes(StandardCharsets.UTF_8);
  }

  private static byte[] tinyWeights() {
    String module = "model.layers.0.block_sparse_moe.";
    SafetensorsWriter writer = new SafetensorsWriter().addRandom(module + "gate.weight", 3, 6);
    for (int e = 0; e < 3; e++) {
      writer
          .addRandom(module + "experts." + e + ".w1.weight", 4, 6)
          .addRandom(module + "experts." + e + ".w2.weight", 6, 4)
          .addRandom(module + "experts." + e + ".w3.weight", 4, 6);
    }
    return written(writer);
  }

  static byte[] quantized(String name) {
    return file(Fixtures.quant(name).resolve(WEIGHTS));
  }

  /** A file of so many tensors. */
  static byte[] small(int tensors) {
    SafetensorsWriter writer = new SafetensorsWriter();
    for (int i = 0; i < tensors; i++) {
      writer.addRandom("layer." + i, i % 5, 3);
    }
    return written(writer);
  }

  private static byte[] written(SafetensorsWriter writer) {
    try {
      Path file = Files.createTempFile("corpus", ".safetensors");
      try {
        writer.write(file);
        return Files.readAllBytes(file);
      } finally {
        Files.delete(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static SafetensorsHeader header(byte[] weights) {
    try {
      return SafetensorsHeader.read("file", weights.length, new ByteArrayInputStream(weights));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The JSON of a safetensors file. */
  static byte[] headerOf(byte[] weights) {
    long length = ByteBuffer.wrap(weights).order(ByteOrder.LITTLE_ENDIAN).getLong();
    return Arrays.copyOfRange(weights, 8, 8 + Math.toIntExact(length));
  }

  /** The file with another header, and the length of that. */
  static byte[] withHeader(byte[] weights, byte[] header) {
    int data = 8 + headerOf(weights).length;
    return ByteBuffer.allocate(8 + header.length + weights.length - data)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(header.length)
        .put(header)
        .put(weights, data, weights.length - data)
        .array();
  }

  private static byte[] file(Path path) {
    return READ.computeIfAbsent(
        path,
        file -> {
          try {
            return Files.readAllBytes(file);
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        });
  }
}
