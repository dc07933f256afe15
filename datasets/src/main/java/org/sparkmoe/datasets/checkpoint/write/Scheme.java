package org.sparkmoe.datasets.checkpoint.write;

import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.write.LinearStore.Field;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.quant.weight.WeightQuantizer;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.ScaleType;

/**
 * What weights are turned into, and how it is stored. Immutable.
 *
 * <table>
 *   <caption>Schemes</caption>
 *   <tr><td>{@code fp8-block}</td><td>e4m3 per 128 × 128, DeepSeek's layout</td></tr>
 *   <tr><td>{@code fp8-channel}</td><td>e4m3 per output, compressed-tensors float-quantized</td></tr>
 *   <tr><td>{@code int8}</td><td>int8 per output, compressed-tensors int-quantized</td></tr>
 *   <tr><td>{@code w4a16-gN}</td><td>4 bits in groups of N, compressed-tensors pack-quantized</td></tr>
 *   <tr><td>{@code nvfp4}</td><td>weights only, compressed-tensors nvfp4-pack-quantized</td></tr>
 *   <tr><td>{@code mxfp4}</td><td>weights only, compressed-tensors mxfp4-pack-quantized; gpt-oss in
 *       blocks of its own</td></tr>
 * </table>
 */
public final class Scheme {
  /** The names that {@link #of} knows, for messages. */
  public static final String NAMES =
      "fp8-block, fp8-channel, int8, w4a16-g32, w4a16-g64, w4a16-g128, nvfp4 or mxfp4";

  private static final Pattern GROUPED = Pattern.compile("w4a16-g(32|64|128)");

  private final String name;
  private final WeightQuantizer quantizer;
  private final LinearStore store;
  private final QuantizationConfig config;

  private Scheme(
      String name, WeightQuantizer quantizer, LinearStore store, QuantizationConfig config) {
    this.name = name;
    this.quantizer = quantizer;
    this.store = store;
    this.config = config;
  }

  /**
   * The scheme called {@code name}.
   *
   * @throws InputException if there is none
   */
  public static Scheme of(String name) {
    String known = name.toLowerCase(Locale.ROOT);
    Matcher grouped = GROUPED.matcher(known);
    if (grouped.matches()) {
      return packed(known, Integer.parseInt(grouped.group(1)), SafetensorsDType.BF16);
    }
    return switch (known) {
      case "fp8-block" ->
          new Scheme(
              known,
              WeightQuantizer.fp8PerBlock(),
              LinearStore.of(
                  Field.codes(".weight", SafetensorsDType.F8_E4M3),
                  Field.scales(".weight_scale_inv", SafetensorsDType.F32)),
              QuantizationConfig::fp8Blocks);
      case "fp8-channel" ->
          perChannel(
              known,
              WeightQuantizer.fp8PerChannel(),
              SafetensorsDType.F8_E4M3,
              "float-quantized",
              "float");
      case "int8" ->
          perChannel(
              known, WeightQuantizer.int8PerChannel(), SafetensorsDType.I8, "int-quantized", "int");
      case "nvfp4" ->
          new Scheme(
              known,
              WeightQuantizer.nvfp4(),
              LinearStore.of(
                  Field.codes(".weight_packed", SafetensorsDType.U8),
                  Field.scales(".weight_scale", SafetensorsDType.F8_E4M3),
                  LinearStore.INVERSE_GLOBAL),
              QuantizationConfig.compressedTensors(
                  "nvfp4-pack-quantized",
                  QuantizationConfig.arguments(
                      4, "float", "tensor_group", WeightQuantizer.NVFP4_GROUP, false),
                  null));
      case "mxfp4" ->
          new Scheme(
              known,
              WeightQuantizer.mxfp4(),
              LinearStore.of(
                  Field.codes(".weight_packed", SafetensorsDType.U8),
                  Field.scales(".weight_scale", SafetensorsDType.U8)),
              QuantizationConfig.compressedTensors(
                  "mxfp4-pack-quantized",
                  QuantizationConfig.arguments(
                      4, "float", "group", WeightQuantizer.MXFP4_GROUP, false),
                  null));
      default ->
          throw new InputException(
              "--scheme %s is unknown; choose %s".formatted(Quoted.of(name), NAMES));
    };
  }

  private static Scheme perChannel(
      String name, WeightQuantizer quantizer, SafetensorsDType codes, String format, String type) {
    return new Scheme(
        name,
        quantizer,
        LinearStore.of(
            Field.codes(".weight", codes), Field.scales(".weight_scale", SafetensorsDType.F32)),
        QuantizationConfig.compressedTensors(
            format,
            QuantizationConfig.arguments(8, type, "channel", 0, false),
            QuantizationConfig.arguments(8, type, "token", 0, true)));
  }

  private static Scheme packed(String name, int group, SafetensorsDType scales) {
    return new Scheme(
        name,
        WeightQuantizer.uint4PerGroup(group, ScaleType.valueOf(scales.name())),
        LinearStore.of(
            // A row's 4-bit codes are words of 8 of them, the lowest column in the lowest bits.
            Field.codes(".weight_packed", SafetensorsDType.I32),
            Field.scales(".weight_scale", scales),
            LinearStore.SHAPE),
        QuantizationConfig.compressedTensors(
            "pack-quantized", QuantizationConfig.arguments(4, "int", "group", group, false), null));
  }

  /** {@link #NAMES}, one by one. */
  static List<String> names() {
    return List.of(NAMES.split(", | or "));
  }

  /** The name, as the command line has it. */
  public String name() {
    return name;
  }

  WeightQuantizer quantizer() {
    return quantizer;
  }

  LinearStore store() {
    return store;
  }

  QuantizationConfig config() {
    return config;
  }

  /** The scheme for experts of that type: scales of 4-bit groups follow f16 weights. */
  Scheme storedFor(DType experts) {
    return groupedIntegers() && experts == DType.F16
        ? packed(name, quantizer.format().colSpan(), SafetensorsDType.F16)
        : this;
  }

  private boolean groupedIntegers() {
    return quantizer.format().codes() == CodeType.UINT4;
  }

  /**
   * Columns must be a multiple of this: files of the format have whole groups only. 1 where the
   * format has none, or partial ones.
   */
  int wholeGroup() {
    QuantFormat format = quantizer.format();
    return format.codes().bits() == 8 ? 1 : format.colSpan();
  }
}
