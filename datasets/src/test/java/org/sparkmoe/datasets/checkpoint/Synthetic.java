package org.sparkmoe.datasets.checkpoint;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;

/** Checkpoints made up in a test: a configuration and any tensors. */
final class Synthetic {
  static final Configuration CONF = new Configuration(false);

  private Synthetic() {}

  /** Writes config.json, with ' for ". */
  static void config(Path folder, String json) {
    text(folder.resolve("config.json"), json);
  }

  /** Writes a file, with ' for ". */
  static void text(Path file, String text) {
    try {
      Files.writeString(file, text.replace('\'', '"'));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static Checkpoint open(Path folder) {
    return Checkpoint.open(folder.toString(), CONF);
  }

  /** A Mixtral of one layer: H 6, I 4, E 3, top 2. */
  static final String MIXTRAL =
      """
      {'model_type':'mixtral','hidden_size':6,'intermediate_size':4,'num_local_experts':3,
       'num_experts_per_tok':2,'num_hidden_layers':1,'hidden_act':'silu'}\
      """;

  /** A Mixtral of one layer, top 2, with a quantization_config. */
  static String mixtral(int hidden, int width, int experts, String quantization) {
    return """
    {'model_type':'mixtral','hidden_size':%d,'intermediate_size':%d,'num_local_experts':%d,
     'num_experts_per_tok':2,'num_hidden_layers':1,'hidden_act':'silu','quantization_config':%s}\
    """
        .formatted(hidden, width, experts, quantization);
  }

  /** Adds per-expert matrices named {@code names}: gate, up, down. */
  static SafetensorsWriter experts(
      SafetensorsWriter writer,
      String module,
      int experts,
      int width,
      int hidden,
      String... names) {
    for (int e = 0; e < experts; e++) {
      String prefix = module + ".experts." + e + ".";
      writer
          .addRandom(prefix + names[0] + ".weight", width, hidden)
          .addRandom(prefix + names[1] + ".weight", width, hidden)
          .addRandom(prefix + names[2] + ".weight", hidden, width);
    }
    return writer;
  }
}
