package org.sparkmoe.udfs.sql;

import java.util.Locale;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.quant.ActivationScheme.Codes;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.tensor.ScaleType;

/**
 * A scheme of quantized vectors written in SQL: words separated by spaces or commas.
 *
 * <pre>
 *   e4m3 per token                one f32 scale for each vector; fp8 is another name of e4m3
 *   int8 per token
 *   e4m3 per 128                  one f32 scale for 128 values each
 *   e4m3 per 128 e8m0             … scales are powers of two
 *   int8 per 64
 *   e4m3 per tensor scale=0.02    one scale for all vectors, given here
 *   mxfp8                         e4m3 per 32 e8m0
 *   nvfp4 scale=0.001             e2m1 per 16, e4m3 scales below one for all
 * </pre>
 */
final class QuantSchemeText {
  private Codes codes;
  private ActivationScheme named;
  private Granularity granularity;
  private int block;
  private ScaleType scales = ScaleType.F32;
  private float scale = Float.NaN;
  private boolean perSeen;

  private QuantSchemeText() {}

  /**
   * Reads a scheme.
   *
   * @throws IllegalArgumentException for what it does not know, in one line
   */
  static ActivationCodec parse(String text) {
    QuantSchemeText scheme = new QuantSchemeText();
    try {
      for (String word : text.strip().toLowerCase(Locale.ROOT).split("[\\s,]+", -1)) {
        scheme.accept(word);
      }
      return scheme.build();
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException("scheme '%s': a number is wrong".formatted(text), e);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("scheme '%s': %s".formatted(text, e.getMessage()), e);
    }
  }

  private void accept(String word) {
    if (perSeen && granularity == null) {
      switch (word) {
        case "token" -> granularity = Granularity.TOKEN;
        case "tensor" -> granularity = Granularity.TENSOR;
        default -> {
          granularity = Granularity.BLOCK;
          block = Integer.parseInt(word);
        }
      }
      return;
    }
    switch (word) {
      case "int8" -> codes = Codes.INT8;
      case "e4m3", "fp8" -> codes = Codes.E4M3;
      case "mxfp8" -> named = ActivationScheme.MXFP8;
      case "nvfp4" -> named = ActivationScheme.NVFP4;
      case "per" -> perSeen = true;
      case "e8m0" -> scales = ScaleType.E8M0;
      default -> {
        if (!word.startsWith("scale=")) {
          throw new IllegalArgumentException(
              "unknown word '%s'; write for example 'e4m3 per token' or 'int8 per 64'"
                  .formatted(word));
        }
        scale = Float.parseFloat(word.substring("scale=".length()));
      }
    }
  }

  private ActivationCodec build() {
    if (named == null && (codes == null || granularity == null)) {
      throw new IllegalArgumentException(
          "it needs codes (int8 or e4m3) and 'per token', 'per tensor' or a number of values");
    }
    ActivationScheme scheme =
        named == null ? new ActivationScheme(codes, granularity, block, scales) : named;
    if (scheme.hasTensorScale() == Float.isNaN(scale)) {
      throw new IllegalArgumentException(
          scheme.hasTensorScale()
              ? "it needs the scale for all vectors, for example scale=0.02"
              : "its scales are computed; leave scale= out");
    }
    return scheme.hasTensorScale()
        ? ActivationCodec.perTensor(scheme, scale)
        : ActivationCodec.of(scheme);
  }
}
