package org.sparkmoe.job.report;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Arrays;
import java.util.OptionalDouble;

/**
 * Everything that a page says of one layer.
 *
 * @param manifest of its run
 * @param experts by expert id
 * @param routes counted
 * @param errors rows that could not be scored
 */
record LayerReport(
    JsonNode manifest, ExpertStats experts, RouteCounts routes, ErrorReasons errors) {

  /** Reads a run and counts its routes, of about {@code mostTokens} tokens. */
  static LayerReport read(RunFolder run, long mostTokens) {
    ExpertStats experts = ExpertStats.read(run);
    return new LayerReport(
        run.manifest(),
        experts,
        RouteCounts.of(run, experts.experts(), topK(run.manifest()), mostTokens),
        ErrorReasons.read(run));
  }

  private static int topK(JsonNode manifest) {
    long tokens = Math.max(1, manifest.at("/counts/tokens").asLong());
    int routes = (int) (manifest.at("/counts/routes").asLong() / tokens);
    return Math.max(1, manifest.at("/model/shape/top_k").asInt(routes));
  }

  int topK() {
    return topK(manifest);
  }

  int index() {
    return manifest.at("/model/layer").asInt();
  }

  /** Lanes that the manifest tells the loads of; 0 where there are none. */
  int lanes() {
    return manifest.at("/lanes/loads").size();
  }

  long tokens() {
    return manifest.at("/counts/tokens").asLong();
  }

  double seconds() {
    return manifest.at("/seconds").asDouble();
  }

  /**
   * Floating-point operations of an expert for one token: gate, up and down, a multiplication and
   * an addition each. Empty where the manifest does not tell the shape.
   */
  OptionalDouble flopsPerToken() {
    double hidden = manifest.at("/model/shape/hidden").asDouble();
    double width = manifest.at("/model/shape/expert_width").asDouble();
    return hidden * width > 0 ? OptionalDouble.of(6 * hidden * width) : OptionalDouble.empty();
  }

  /** 10⁹ operations for each second in the kernel of {@code expert}; 0 where it never ran. */
  double gigaflops(int expert) {
    double millis = experts.kernelMillis()[expert];
    return millis > 0 ? flopsPerToken().orElse(0) * experts.tokens()[expert] / millis / 1e6 : 0;
  }

  /** As above, of all experts together. */
  double gigaflops() {
    double millis = kernelMillis();
    double tokens = Arrays.stream(experts.tokens()).asDoubleStream().sum();
    return millis > 0 ? flopsPerToken().orElse(0) * tokens / millis / 1e6 : 0;
  }

  double kernelMillis() {
    return Arrays.stream(experts.kernelMillis()).sum();
  }

  long unused() {
    return Arrays.stream(experts.tokens()).filter(tokens -> tokens == 0).count();
  }
}
