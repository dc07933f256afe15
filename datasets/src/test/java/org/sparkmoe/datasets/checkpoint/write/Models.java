package org.sparkmoe.datasets.checkpoint.write;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.sparkmoe.datasets.checkpoint.SafetensorsWriter;
import org.sparkmoe.kernels.tensor.DType;

/** Small models of normal weights, of sizes and layouts that the fixtures lack. */
final class Models {
  private static final long SEED = 5;

  private Models() {}

  /** A Mixtral of one layer, two experts, and {@code last} as the last weight. */
  static void mixtral(Path folder, int hidden, int width, float last, DType dtype) {
    Random random = new Random(SEED);
    SafetensorsWriter writer = new SafetensorsWriter();
    String module = "model.layers.0.block_sparse_moe.";
    add(writer, random, dtype, module + "gate.weight", 2, hidden);
    for (int e = 0; e < 2; e++) {
      String expert = module + "experts." + e + ".";
      add(writer, random, dtype, expert + "w1.weight", width, hidden);
      add(writer, random, dtype, expert + "w3.weight", width, hidden);
      float[] down = values(random, hidden * width);
      if (e == 1) {
        down[down.length - 1] = last;
      }
      writer.addFloats(expert + "w2.weight", dtype, down, hidden, width);
    }
    write(
        folder,
        writer,
        """
        {"model_type":"mixtral","hidden_size":%d,"intermediate_size":%d,"num_local_experts":2,
         "num_experts_per_tok":2,"num_hidden_layers":1,"hidden_act":"silu"}\
        """
            .formatted(hidden, width));
  }

  /** A Granite of one layer, whose experts are stacks and whose shared expert is fused too. */
  static void granite(Path folder) {
    Random random = new Random(SEED);
    SafetensorsWriter writer = new SafetensorsWriter();
    String module = "model.layers.0.block_sparse_moe.";
    String shared = "model.layers.0.shared_mlp.";
    add(writer, random, DType.BF16, module + "router.layer.weight", 3, 64);
    add(writer, random, DType.BF16, module + "input_linear.weight", 3, 2 * 32, 64);
    add(writer, random, DType.BF16, module + "output_linear.weight", 3, 64, 32);
    add(writer, random, DType.BF16, shared + "input_linear.weight", 2 * 96, 64);
    add(writer, random, DType.BF16, shared + "output_linear.weight", 64, 96);
    write(
        folder,
        writer,
        """
        {"model_type":"granitemoehybrid","hidden_size":64,"intermediate_size":32,
         "num_local_experts":3,"num_experts_per_tok":2,"num_hidden_layers":1,
         "shared_intermediate_size":96,"time_step_limit":[0.0,Infinity]}\
        """);
  }

  /** A DBRX of one layer, whose experts lie below each other. */
  static void dbrx(Path folder) {
    Random random = new Random(SEED);
    SafetensorsWriter writer = new SafetensorsWriter();
    String module = "transformer.blocks.0.ffn.";
    add(writer, random, DType.BF16, module + "router.layer.weight", 3, 64);
    for (String name : List.of("w1", "v1", "w2")) {
      add(writer, random, DType.BF16, module + "experts.mlp." + name, 3 * 32, 64);
    }
    write(
        folder,
        writer,
        """
        {"model_type":"dbrx","d_model":64,"n_layers":1,"ffn_config":{"ffn_hidden_size":32,
         "moe_num_experts":3,"moe_top_k":2,"moe_normalize_expert_weights":2,
         "ffn_act_fn":{"name":"silu"}}}\
        """);
  }

  private static void add(
      SafetensorsWriter writer, Random random, DType dtype, String name, long... shape) {
    long count = 1;
    for (long dimension : shape) {
      count *= dimension;
    }
    writer.addFloats(name, dtype, values(random, (int) count), shape);
  }

  private static float[] values(Random random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian() * 0.1f;
    }
    return values;
  }

  private static void write(Path folder, SafetensorsWriter writer, String config) {
    writer.write(folder.resolve("model.safetensors"));
    try {
      Files.writeString(folder.resolve("config.json"), config);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
