package org.sparkmoe.kernels.bench;

import java.util.List;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.router.TopKRule;

/**
 * The sizes of a known layer. Every one is measured with silu and renormalized softmax weights, so
 * that all peers compute the same function.
 *
 * @param name as in {@code --shape}
 * @param hidden H
 * @param intermediate I
 * @param experts E
 * @param topK k
 */
public record Shape(String name, int hidden, int intermediate, int experts, int topK) {
  public static final List<Shape> ALL =
      List.of(
          new Shape("olmoe", 2048, 1024, 64, 8),
          new Shape("qwen3-30b-a3b", 2048, 768, 128, 8),
          new Shape("mixtral", 4096, 14336, 8, 2),
          new Shape("gpt-oss-20b", 2880, 2880, 32, 4),
          // what one of four devices holds of 256 experts
          new Shape("deepseek-v3-64", 7168, 2048, 64, 8));

  /**
   * The shape of that name.
   *
   * @throws IllegalArgumentException where there is none; the message lists the names
   */
  public static Shape named(String name) {
    return ALL.stream()
        .filter(shape -> shape.name().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "unknown shape %s; choose %s"
                        .formatted(name, ALL.stream().map(Shape::name).toList())));
  }

  public MoeLayerSpec spec() {
    return new MoeLayerSpec(
        hidden, intermediate, experts, TopKRule.softmax(topK, true), Activation.SILU, null);
  }

  /** The same layer with another number of experts. */
  public Shape withExperts(int count) {
    return new Shape(name, hidden, intermediate, count, topK);
  }

  /** Parameters of one routed expert. */
  public long expertValues() {
    return 3L * hidden * intermediate;
  }

  /** Bytes of all experts in f32. */
  public long f32Bytes() {
    return experts * expertValues() * Float.BYTES;
  }

  /** Multiplications and additions of the experts over {@code tokens} tokens. */
  public double flops(long tokens) {
    return 2.0 * expertValues() * tokens * topK;
  }

  @Override
  public String toString() {
    return "%s (H %d, I %d, E %d, k %d)".formatted(name, hidden, intermediate, experts, topK);
  }
}
