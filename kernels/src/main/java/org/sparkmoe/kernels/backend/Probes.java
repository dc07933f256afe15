package org.sparkmoe.kernels.backend;

import java.util.Collection;
import java.util.Optional;
import jdk.incubator.vector.FloatVector;
import org.sparkmoe.kernels.cuda.Cuda;
import org.sparkmoe.kernels.onednn.OneDnn;
import org.sparkmoe.kernels.quant.LayerSchemes;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.WeightFormat;

/**
 * Facts about this JVM that decide which backends can run. Pure data, so that every decision can be
 * tested on any machine.
 *
 * @param vectorModule whether {@code jdk.incubator.vector} is loaded
 * @param vectorBits preferred SIMD width in bits; 0 without the module
 * @param optimizingJit whether the JIT compiler that turns vector code into SIMD instructions runs
 * @param onednnRefusal why oneDNN does not run; empty where it does
 * @param bf16Refusal why oneDNN does not compute in bf16; empty where it does
 * @param cudaRefusal why no GPU computes; empty where one does
 * @param fp8Refusal why no GPU multiplies rows of FP8; empty where one does
 */
public record Probes(
    boolean vectorModule,
    int vectorBits,
    boolean optimizingJit,
    Optional<String> onednnRefusal,
    Optional<String> bf16Refusal,
    Optional<String> cudaRefusal,
    Optional<String> fp8Refusal) {
  private static final int LEAST_VECTOR_BITS = 128;
  private static final String NOT_TRIED = "it was not asked for, and so not tried";

  /**
   * The facts of the running JVM about {@code candidates}. oneDNN and the NVIDIA driver are loaded
   * and tried only where they are among them.
   */
  public static Probes gather(Collection<Backend> candidates) {
    boolean module = vectorModuleLoaded();
    return new Probes(
        module,
        module ? VectorFacts.preferredBits() : 0,
        runsOptimizingJit(),
        candidates.contains(Backend.ONEDNN) ? OneDnn.refusal() : Optional.of(NOT_TRIED),
        candidates.contains(Backend.ONEDNN_BF16) ? OneDnn.bf16Refusal() : Optional.of(NOT_TRIED),
        candidates.contains(Backend.CUDA) ? Cuda.refusal() : Optional.of(NOT_TRIED),
        candidates.contains(Backend.CUDA) ? Cuda.fp8Refusal() : Optional.of(NOT_TRIED));
  }

  /** Whether {@code jdk.incubator.vector} is loaded in the running JVM. */
  public static boolean vectorModuleLoaded() {
    return ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent();
  }

  /** Why {@code backend} cannot run, or empty where it can. */
  public Optional<String> refusal(Backend backend) {
    return switch (backend) {
      case SCALAR -> Optional.empty();
      case VECTOR -> vectorRefusal();
      case ONEDNN -> onednnRefusal;
      case ONEDNN_BF16 -> bf16Refusal;
      case CUDA -> cudaRefusal;
    };
  }

  /**
   * Why {@code backend}, which runs, does not compute with weights stored as {@code format} here;
   * empty where it does.
   */
  public Optional<String> refusal(Backend backend, WeightFormat format) {
    boolean unpacksInJava =
        format instanceof QuantFormat
            && (backend == Backend.ONEDNN || backend == Backend.ONEDNN_BF16);
    return unpacksInJava && !vectorModule
        ? Optional.of(
            "weights stored as %s are unpacked by module jdk.incubator.vector, which is not loaded; start the JVM with --add-modules=jdk.incubator.vector"
                .formatted(format.label()))
        : backend.refusal(format);
  }

  /**
   * Why {@code backend}, which runs, does not compute with activations quantized as {@code schemes}
   * beside weights stored as {@code formats} here; empty where it does.
   */
  public Optional<String> refusal(
      Backend backend, LayerSchemes schemes, Collection<WeightFormat> formats) {
    return backend
        .refusal(schemes, formats)
        .or(
            () ->
                backend == Backend.CUDA && schemes.quantizesIntermediates()
                    ? fp8Refusal
                    : Optional.empty());
  }

  private Optional<String> vectorRefusal() {
    if (!vectorModule) {
      return Optional.of(
          "module jdk.incubator.vector is not loaded; start the JVM with"
              + " --add-modules=jdk.incubator.vector");
    }
    if (vectorBits < LEAST_VECTOR_BITS) {
      return Optional.of(
          "SIMD registers of %d bits, at least %d are needed; use scalar"
              .formatted(vectorBits, LEAST_VECTOR_BITS));
    }
    if (!optimizingJit) {
      return Optional.of(
          "the JVM runs without its C2 compiler, vector code would crawl; drop -Xint,"
              + " -XX:TieredStopAtLevel and the like");
    }
    return Optional.empty();
  }

  private static boolean runsOptimizingJit() {
    String mode = System.getProperty("java.vm.info", "");
    return System.getProperty("java.vm.name", "").contains("Server VM")
        && !mode.contains("interpreted mode")
        && !mode.contains("emulated-client");
  }

  /** Holds the vector types: touching this class without their module fails. */
  private static final class VectorFacts {
    static int preferredBits() {
      return FloatVector.SPECIES_PREFERRED.vectorBitSize();
    }
  }
}
