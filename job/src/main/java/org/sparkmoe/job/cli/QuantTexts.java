package org.sparkmoe.job.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.job.plan.Amounts;
import org.sparkmoe.job.plan.TokenBytes;
import org.sparkmoe.kernels.layer.ExpertFormats;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.quant.LayerSchemes;
import org.sparkmoe.kernels.quant.ScaledScheme;

/** How weights and activations are quantized, in words. */
final class QuantTexts {
  private QuantTexts() {}

  /** The weights as stored. */
  static String weights(MoeLayer layer) {
    String routed = formats(layer.formats());
    return layer
        .sharedFormats()
        .map(QuantTexts::formats)
        .filter(shared -> !shared.equals(routed))
        .map(shared -> routed + "; shared expert " + shared)
        .orElse(routed);
  }

  private static String formats(ExpertFormats formats) {
    String in = formats.in().label();
    String down = formats.down().label();
    return in.equals(down) ? in : in + ", down " + down;
  }

  /** The activations as they are quantized. */
  static String activations(LayerSchemes schemes, boolean shared) {
    String routed = pair(schemes.input(), schemes.inner());
    String alone = pair(schemes.sharedInput(), schemes.sharedInner());
    return !shared || alone.equals(routed) ? routed : routed + "; shared expert " + alone;
  }

  private static String pair(ScaledScheme input, ScaledScheme inner) {
    String first = scheme(input);
    String second = scheme(inner);
    return first.equals(second) ? first : first + ", before down " + second;
  }

  private static String scheme(ScaledScheme scheme) {
    String label = scheme.scheme().label();
    if (scheme.equals(ScaledScheme.NONE)) {
      return label;
    }
    if (scheme.needsAllTokens()) {
      return label + " (dynamic, over all tokens)";
    }
    return label + (scheme.scheme().hasTensorScale() ? " (static)" : " (dynamic)");
  }

  /** Bytes of a token in dispatch. */
  static String token(TokenBytes token) {
    if (token.codes() == token.f32()) {
      return "a dispatched token takes %s".formatted(bytes(token.f32()));
    }
    String home =
        token.home() > token.f32Home()
            ? ", and once %s for the shared expert".formatted(bytes(token.home()))
            : "";
    return "a dispatched token takes %s, in f32 %s%s"
        .formatted(bytes(token.codes()), bytes(token.f32()), home);
  }

  private static String bytes(long bytes) {
    return Amounts.count(bytes) + " bytes";
  }

  /** The scales that are for all tokens, none where no scheme has one. */
  static List<String> scales(LayerSchemes schemes, LayerCodecs codecs) {
    List<String> lines = new ArrayList<>();
    add(lines, "input", schemes.input(), codecs.input());
    add(lines, "before down", schemes.inner(), codecs.inner());
    add(lines, "shared expert", schemes.sharedInput(), codecs.sharedInput());
    add(lines, "shared expert, before down", schemes.sharedInner(), codecs.sharedInner());
    return lines;
  }

  private static void add(
      List<String> lines, String name, ScaledScheme scheme, ActivationCodec codec) {
    if (scheme.scheme().hasTensorScale()) {
      lines.add(
          "%s%s for %s, of %s"
              .formatted(
                  lines.isEmpty() ? "scale    " : "         ",
                  codec.tensorScale(),
                  name,
                  scheme.needsAllTokens() ? "all tokens" : "the checkpoint"));
    }
  }

  /** What dispatch shuffled, and what it would have in f32. */
  static String dispatch(long tokens, long sent, long bytes, long inF32) {
    return String.format(
        Locale.ROOT,
        "dispatch %s: %s tokens, sent %s times in all; in f32 %s, %.2f times as much",
        Amounts.bytes(bytes),
        Amounts.count(tokens),
        Amounts.count(sent),
        Amounts.bytes(inF32),
        (double) inF32 / Math.max(1, bytes));
  }
}
