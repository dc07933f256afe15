package org.sparkmoe.job.report;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Arrays;
import java.util.OptionalDouble;

/** What the manifest and the experts of a layer's run come to. */
interface LayerFigures extends Layer {
  /** Of its run. */
  JsonNode manifest();

  /** By expert id. */
  ExpertStats experts();

  @Override
  default int index() {
    return manifest().at("/model/layer").asInt();
  }

  default int topK() {
    return topK(manifest());
  }

  /** Lanes that the manifest tells the loads of; 0 where there are none. */
  default int lanes() {
    return manifest().at("/lanes/loads").size();
  }

  /** Tokens that were scored. */
  default long tokens() {
    return manifest().at("/counts/tokens").asLong();
  }

  default double seconds() {
    return manifest().at("/seconds").asDouble();
  }

  /** Tokens of a second of the whole run. */
  default double tokensPerSecond() {
    return tokens() / Math.max(seconds(), 1e-3);
  }

  /**
   * Floating-point operations of an expert for one token: gate, up and down, a multiplication and
   * an addition each. Empty where the manifest does not tell the shape.
   */
  default OptionalDouble flopsPerToken() {
    double hidden = manifest().at("/model/shape/hidden").asDouble();
    double width = manifest().at("/model/shape/expert_width").asDouble();
    return hidden * width > 0 ? OptionalDouble.of(6 * hidden * width) : OptionalDouble.empty();
  }

  /** 10⁹ operations for each second in the kernel of {@code expert}; 0 where it never ran. */
  default double gigaflops(int expert) {
    double millis = experts().kernelMillis()[expert];
    return millis > 0 ? flopsPerToken().orElse(0) * experts().tokens()[expert] / millis / 1e6 : 0;
  }

  /** As above, of all experts together. */
  default double gigaflops() {
    double millis = kernelMillis();
    double tokens = Arrays.stream(experts().tokens()).asDoubleStream().sum();
    return millis > 0 ? flopsPerToken().orElse(0) * tokens / millis / 1e6 : 0;
  }

  default double kernelMillis() {
    return Arrays.stream(experts().kernelMillis()).sum();
  }

  default long unused() {
    return Arrays.stream(experts().tokens()).filter(tokens -> tokens == 0).count();
  }

  /** k of a manifest, or what its counts come to. */
  static int topK(JsonNode manifest) {
    long tokens = Math.max(1, manifest.at("/counts/tokens").asLong());
    int routes = (int) (manifest.at("/counts/routes").asLong() / tokens);
    return Math.max(1, manifest.at("/model/shape/top_k").asInt(routes));
  }
}
