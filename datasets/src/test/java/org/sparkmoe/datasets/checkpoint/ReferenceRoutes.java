package org.sparkmoe.datasets.checkpoint;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Routes that transformers computed, per token a map of expert id to weight. Routers return their
 * results in different orders, some of them unsorted.
 */
public final class ReferenceRoutes {
  private ReferenceRoutes() {}

  /** Empty where the reference has logits only (Jamba). */
  public static Optional<List<Map<Integer, Float>>> of(SafetensorsFile file, Fixtures.Block block) {
    String router = router(file, block.module());
    return switch (block.family()) {
      case "jamba" -> Optional.empty();
      case "llama4" -> Optional.of(sparse(file, router + ".output"));
      case "granitemoe" -> Optional.of(slots(file, router + ".output", router + ".output1"));
      case "jetmoe" -> Optional.of(sorted(file, router));
      default -> Optional.of(slots(file, router + ".output2", router + ".output1"));
    };
  }

  static String router(SafetensorsFile file, String module) {
    return file.tensors().containsKey(module + ".gate.input")
        ? module + ".gate"
        : module + ".router";
  }

  public static float[] floats(SafetensorsFile file, String name) {
    MemorySegment data = file.data(name);
    float[] values = new float[(int) (data.byteSize() / Float.BYTES)];
    MemorySegment.copy(data, DType.LE_FLOAT, 0, values, 0, values.length);
    return values;
  }

  private static int[] ints(SafetensorsFile file, String name) {
    float[] bits = floats(file, name);
    return IntStream.range(0, bits.length).map(i -> Float.floatToRawIntBits(bits[i])).toArray();
  }

  private static List<Map<Integer, Float>> slots(SafetensorsFile file, String ids, String weights) {
    int topK = (int) file.tensor(ids).shape()[1];
    return slots(topK, ints(file, ids), floats(file, weights));
  }

  private static List<Map<Integer, Float>> slots(int topK, int[] ids, float[] weights) {
    List<Map<Integer, Float>> routes = new ArrayList<>();
    for (int slot = 0; slot < ids.length; slot++) {
      if (slot % topK == 0) {
        routes.add(new TreeMap<>());
      }
      routes.getLast().put(ids[slot], weights[slot]);
    }
    return routes;
  }

  /** Llama 4: tokens × E, zero where an expert is not chosen. */
  private static List<Map<Integer, Float>> sparse(SafetensorsFile file, String scores) {
    int experts = (int) file.tensor(scores).shape()[1];
    float[] values = floats(file, scores);
    List<Map<Integer, Float>> routes = new ArrayList<>();
    for (int i = 0; i < values.length; i++) {
      if (i % experts == 0) {
        routes.add(new TreeMap<>());
      }
      if (values[i] != 0) {
        routes.getLast().put(i % experts, values[i]);
      }
    }
    return routes;
  }

  /** JetMoE: weights in order of expert, with the flat slots (best first) they belong to. */
  private static List<Map<Integer, Float>> sorted(SafetensorsFile file, String router) {
    int[] flatSlots = ints(file, router + ".output");
    float[] sortedWeights = floats(file, router + ".output2");
    float[] logits = floats(file, router + ".output4");
    int experts = (int) file.tensor(router + ".output4").shape()[1];
    int topK = flatSlots.length * experts / logits.length;
    float[] weights = new float[flatSlots.length];
    int[] ids = new int[flatSlots.length];
    for (int i = 0; i < flatSlots.length; i++) {
      weights[flatSlots[i]] = sortedWeights[i];
    }
    for (int token = 0; token < ids.length / topK; token++) {
      int row = token * experts;
      List<Integer> best =
          IntStream.range(0, experts)
              .boxed()
              .sorted((a, b) -> Float.compare(logits[row + b], logits[row + a]))
              .toList();
      for (int slot = 0; slot < topK; slot++) {
        ids[token * topK + slot] = best.get(slot);
      }
    }
    return slots(topK, ids, weights);
  }
}
