package org.sparkmoe.job.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.bench.Shape;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;

/**
 * A checkpoint of one layer and a table of tokens in a temporary folder: what the job needs to run
 * on the very numbers that the kernels run on.
 *
 * @param folder holds everything, removed when closed
 */
record JobFiles(Path folder) implements AutoCloseable {
  private static final String TOKENS = "tokens";
  private static final String MLP = "model.layers.0.mlp.";

  /** Writes both, the tokens as {@code vectors}. */
  static JobFiles write(RandomLayer weights, Batch batch, DType vectors) {
    try {
      JobFiles files = new JobFiles(Files.createTempDirectory("moe-bench"));
      Files.createDirectory(files.model());
      Files.writeString(files.model().resolve("config.json"), config(weights.shape()));
      files.writeModel(weights);
      files.writeTokens(batch, weights.shape().hidden(), vectors);
      return files;
    } catch (IOException e) {
      throw new UncheckedIOException("cannot write the job's input", e);
    }
  }

  /** The checkpoint folder. */
  Path model() {
    return folder.resolve("model");
  }

  /** The tokens, as {@code --input} names them. */
  String input() {
    return tokenFile() + "#" + TOKENS;
  }

  /** A run folder. */
  Path run(String name) {
    return folder.resolve(name);
  }

  @Override
  public void close() {
    try (Stream<Path> paths = Files.walk(folder)) {
      List<Path> inside = paths.sorted(Comparator.reverseOrder()).toList();
      for (Path path : inside) {
        Files.delete(path);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("cannot remove " + folder, e);
    }
  }

  private Path tokenFile() {
    return folder.resolve("tokens.safetensors");
  }

  private void writeTokens(Batch batch, int hidden, DType vectors) {
    long count = (long) batch.tokens() * hidden;
    try (Arena arena = Arena.ofConfined()) {
      Activations x = new Activations(arena.allocate(vectors.bytes(count), 64), vectors);
      Activations.f32(batch.x()).convert(x, count);
      Matrix matrix = new Matrix(x.data(), vectors, batch.tokens(), hidden);
      new SafetensorsWriter().add(TOKENS, matrix).write(tokenFile());
    }
  }

  private void writeModel(RandomLayer weights) {
    SafetensorsWriter writer = new SafetensorsWriter().add(MLP + "gate.weight", weights.router());
    for (int e = 0; e < weights.shape().experts(); e++) {
      ExpertWeights expert = weights.expert(e);
      String prefix = MLP + "experts." + e + ".";
      writer
          .add(prefix + "gate_proj.weight", (Matrix) expert.w1())
          .add(prefix + "up_proj.weight", (Matrix) expert.w3().orElseThrow())
          .add(prefix + "down_proj.weight", (Matrix) expert.w2());
    }
    writer.write(model().resolve("model.safetensors"));
  }

  private static String config(Shape shape) {
    return """
    {
      "model_type": "olmoe", "hidden_act": "silu", "num_hidden_layers": 1, "norm_topk_prob": true,
      "hidden_size": %d, "intermediate_size": %d, "num_experts": %d, "num_experts_per_tok": %d
    }
    """
        .formatted(shape.hidden(), shape.intermediate(), shape.experts(), shape.topK());
  }
}
