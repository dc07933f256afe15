package org.sparkmoe.kernels.experts;

import java.util.Optional;
import org.sparkmoe.kernels.tensor.Weight;

/**
 * One expert as its checkpoint stores it: {@code y = W2 · act(W1 x + b1, W3 x + b3) + b2}.
 *
 * <p>Interleaved and transposed layouts are undone when the weights are loaded, so kernels see one
 * layout.
 *
 * @param w1 gate projection, I × H; the only input projection where the activation is ungated
 * @param w3OrNull up projection, I × H, absent where the activation is ungated
 * @param w2 down projection, H × I
 * @param b1OrNull bias of w1, I values
 * @param b3OrNull bias of w3, I values
 * @param b2OrNull bias of w2, H values; added before the router weight is applied
 */
public record ExpertWeights(
    Weight w1, Weight w3OrNull, Weight w2, float[] b1OrNull, float[] b3OrNull, float[] b2OrNull) {

  public ExpertWeights {
    int hidden = w1.cols();
    int intermediate = w1.rows();
    if (w3OrNull != null && (w3OrNull.rows() != intermediate || w3OrNull.cols() != hidden)) {
      throw new IllegalArgumentException(
          "w3 is %d x %d, w1 is %d x %d: they must agree"
              .formatted(w3OrNull.rows(), w3OrNull.cols(), intermediate, hidden));
    }
    if (w2.rows() != hidden || w2.cols() != intermediate) {
      throw new IllegalArgumentException(
          "w2 is %d x %d, expected %d x %d".formatted(w2.rows(), w2.cols(), hidden, intermediate));
    }
    checkLength("b1", b1OrNull, intermediate);
    checkLength("b3", b3OrNull, intermediate);
    checkLength("b2", b2OrNull, hidden);
  }

  /** A gated expert without biases. */
  public static ExpertWeights gated(Weight w1, Weight w3, Weight w2) {
    return new ExpertWeights(w1, w3, w2, null, null, null);
  }

  public int hidden() {
    return w1.cols();
  }

  public int intermediate() {
    return w1.rows();
  }

  public Optional<Weight> w3() {
    return Optional.ofNullable(w3OrNull);
  }

  /** Bytes of the three projections as stored. */
  public long bytes() {
    return w1.bytes() + w2.bytes() + (w3OrNull == null ? 0 : w3OrNull.bytes());
  }

  private static void checkLength(String name, float[] bias, int expected) {
    if (bias != null && bias.length != expected) {
      throw new IllegalArgumentException(
          "%s has %d values, expected %d".formatted(name, bias.length, expected));
    }
  }
}
