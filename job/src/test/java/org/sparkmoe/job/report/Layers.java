package org.sparkmoe.job.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** Layers of made-up runs. */
final class Layers {
  private static final int LANES = 32;

  private Layers() {}

  /** {@code count} layers of {@code experts} experts, unevenly used. */
  static List<LayerReport> random(int count, int experts, int topK, long seed) {
    Random random = new Random(seed);
    return IntStream.range(0, count)
        .mapToObj(layer -> random(layer, experts, topK, random))
        .toList();
  }

  private static LayerReport random(int layer, int experts, int topK, Random random) {
    long tokens = 100_000;
    double[] popularity = random.doubles(experts).map(u -> 0.1 - Math.log(1 - u)).toArray();
    double sum = Arrays.stream(popularity).sum();
    ExpertStats stats =
        new ExpertStats(
            new long[experts],
            new double[experts],
            new double[experts],
            new int[experts],
            new int[experts]);
    double[] linear = new double[LANES];
    for (int expert = 0; expert < experts; expert++) {
      stats.tokens()[expert] = Math.round(tokens * topK * popularity[expert] / sum);
      stats.weightMass()[expert] = stats.tokens()[expert] * (0.05 + 0.1 * random.nextDouble());
      stats.kernelMillis()[expert] =
          10 + stats.tokens()[expert] * 0.04 * (1 + 0.3 * random.nextDouble());
      stats.lane()[expert] = expert % LANES;
      stats.copies()[expert] = 1;
      linear[expert * LANES / experts] += stats.tokens()[expert];
    }
    Coactivation pairs = Coactivation.of(experts);
    for (int first = 0, at = 0; first < experts; first++) {
      for (int second = first + 1; second < experts; second++, at++) {
        double lift = first / 8 == second / 8 ? 3 : 0.6 + 0.8 * random.nextDouble();
        pairs.counts()[at] =
            Math.round(
                lift
                    * tokens
                    * topK
                    * (topK - 1)
                    * popularity[first]
                    * popularity[second]
                    / sum
                    / sum);
      }
    }
    long[][] weights = new long[topK][40];
    long[] entropy = new long[40];
    for (int i = 0; i < 20_000; i++) {
      for (int slot = 0; slot < topK; slot++) {
        double weight = Math.abs(random.nextGaussian() * 0.04 + 0.3 / (slot + 1));
        weights[slot][Math.clamp((int) (weight * 40), 0, 39)]++;
      }
      entropy[Math.clamp((int) (34 + 2 * random.nextGaussian()), 0, 39)]++;
    }
    return new LayerReport(
        manifest(layer, experts, topK, linear),
        stats,
        new RouteCounts(
            tokens,
            false,
            pairs,
            new Bins(0, 1, 40),
            weights,
            new Bins(0, Math.log(topK) / Math.log(2), 40),
            entropy),
        new ErrorReasons(List.of(), 0, 0));
  }

  private static JsonNode manifest(int layer, int experts, int topK, double[] linear) {
    double mean = Arrays.stream(linear).average().orElseThrow();
    double[] placed = new double[linear.length];
    Arrays.setAll(placed, lane -> mean * (1 + 0.002 * lane));
    return json(
        """
        {"written": "2026-11-24T12:00:00Z", "versions": {"spark-moe": "0.1.0", "spark": "4.2.0"},
         "model": {"checkpoint": "file:/models/Large-MoE", "family": "deepseek_v3", "layer": %d,
                   "module": "model.layers.%d.mlp", "fingerprint": "00", "shape":
                   {"hidden": 7168, "experts": %d, "expert_width": 2048, "top_k": %d}},
         "options": {"input": "/data/tokens", "dispatch": "auto", "keep-columns": []},
         "backend": {"chosen": "onednn", "refusals": ["cuda: there is no libcuda.so.1"]},
         "quantization": {"weights": {"gate_up": "fp8", "down": "fp8"}},
         "dispatch": {"mode": "ep", "lanes": %d, "reason": "the estimate is lower", "estimates": [
           {"mode": "ep", "seconds": 200.0, "dispatch_bytes": 1e9, "combine_bytes": 2e9,
            "weight_bytes_per_executor": 3e9}]},
         "lanes": {"lanes": %d, "busiest_over_mean": 1.03, "busiest_over_mean_linear": 1.6,
                   "experts_on_several_lanes": 0, "loads": %s, "loads_linear": %s},
         "memory": {"layer_bytes": 12000000000}, "seconds": 240.5,
         "counts": {"rows": 100000, "tokens": 100000, "errors": 0, "routes": %d},
         "stages": [
           {"stage": "route", "seconds": 20.5, "tasks": 64, "shuffle_bytes": 5000},
           {"stage": "tables", "seconds": 2.25, "tasks": 9, "shuffle_bytes": 900},
           {"stage": "dispatch", "seconds": 31.0, "tasks": 64, "shuffle_bytes": 1500000000},
           {"stage": "experts", "seconds": 150.0, "tasks": 32, "shuffle_bytes": 23000000000},
           {"stage": "combine", "seconds": 28.0, "tasks": 400, "shuffle_bytes": 0}]}
        """
            .formatted(
                layer,
                layer,
                experts,
                topK,
                LANES,
                LANES,
                Arrays.toString(placed),
                Arrays.toString(linear),
                100_000L * topK));
  }

  static JsonNode json(String text) {
    try {
      return new ObjectMapper().readTree(text);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException(text, e);
    }
  }
}
