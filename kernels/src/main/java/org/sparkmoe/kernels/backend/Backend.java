package org.sparkmoe.kernels.backend;

import java.util.Collection;
import java.util.Locale;
import java.util.Optional;
import org.sparkmoe.kernels.cuda.Cuda;
import org.sparkmoe.kernels.cuda.GpuRows;
import org.sparkmoe.kernels.quant.LayerSchemes;
import org.sparkmoe.kernels.quant.ScaledScheme;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.WeightFormat;

/** Implementations of the expert mathematics. */
public enum Backend {
  /** Plain loops with f64 accumulators: the specification of all others. */
  SCALAR,
  /** SIMD on the JVM through {@code jdk.incubator.vector}, f32 accumulators. */
  VECTOR,
  /** Native CPU kernels of oneDNN in f32. */
  ONEDNN,
  /**
   * As ONEDNN, with the experts' rows and weights rounded to bf16, sums in f32; never by default.
   */
  ONEDNN_BF16,
  /** An NVIDIA GPU: rows and intermediates rounded to the type of the weights, sums in f32. */
  CUDA;

  /**
   * Why it does not compute with weights stored as {@code format}, wherever it runs; empty where it
   * does.
   */
  public Optional<String> refusal(WeightFormat format) {
    return this == CUDA && format instanceof QuantFormat coded && !unpackedOnGpus(coded)
        ? Optional.of(
            "weights stored as %s are not unpacked on GPUs in this version; use onednn, vector or auto"
                .formatted(format.label()))
        : Optional.empty();
  }

  /** Kernels unpack eight neighbouring codes with one scale. */
  private static boolean unpackedOnGpus(QuantFormat format) {
    return !format.ordered() && (format.colSpan() == QuantFormat.ALL || format.colSpan() % 8 == 0);
  }

  /**
   * Why it does not compute with activations quantized as {@code schemes}, wherever it runs; empty
   * where it does.
   *
   * @param formats how the weights are stored, those of a shared expert included
   */
  public Optional<String> refusal(LayerSchemes schemes, Collection<WeightFormat> formats) {
    if (this != CUDA || !schemes.quantizesIntermediates()) {
      return Optional.empty();
    }
    boolean routed = formats.stream().anyMatch(format -> codesRows(format, schemes, false));
    boolean all =
        formats.stream()
            .allMatch(
                format -> codesRows(format, schemes, false) || codesRows(format, schemes, true));
    return routed && all
        ? Optional.empty()
        : Optional.of(
            "intermediates are quantized on GPUs in e4m3 per 128 values only, beside e4m3 weights"
                + " in blocks of 128x128; give --activation-quant none, or use onednn, vector or"
                + " auto");
  }

  private static boolean codesRows(WeightFormat format, LayerSchemes schemes, boolean shared) {
    ScaledScheme input = shared ? schemes.sharedInput() : schemes.input();
    ScaledScheme inner = shared ? schemes.sharedInner() : schemes.inner();
    return GpuRows.of(format, input.scheme(), inner.scheme()).isPresent();
  }

  /** The name in options: lower case, with a hyphen. */
  public String option() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /**
   * What it runs on beside the CPU, and which kernels were chosen for that; empty where nothing.
   */
  public Optional<String> device() {
    return this == CUDA && Cuda.refusal().isEmpty()
        ? Optional.of(Cuda.description())
        : Optional.empty();
  }

  /**
   * What else than its input the bits of a row depend on; empty where nothing. No backend's rows
   * depend on their neighbours or on the number of threads.
   */
  public Optional<String> bitsDependOn() {
    return switch (this) {
      case SCALAR, VECTOR -> Optional.empty();
      case ONEDNN -> Optional.of("the instruction set of the CPU");
      case ONEDNN_BF16 ->
          Optional.of(
              "the instruction set of the CPU, and with AMX, where a width of the layer is no"
                  + " multiple of 32, the size of batches");
      case CUDA -> Optional.of("the model of the GPU and its driver");
    };
  }
}
