package org.sparkmoe.kernels.backend;

import java.util.Optional;
import jdk.incubator.vector.FloatVector;

/**
 * Facts about this JVM that decide which backends can run. Pure data, so that every decision can be
 * tested on any machine.
 *
 * @param vectorModule whether {@code jdk.incubator.vector} is loaded
 * @param vectorBits preferred SIMD width in bits; 0 without the module
 * @param optimizingJit whether the JIT compiler that turns vector code into SIMD instructions runs
 */
public record Probes(boolean vectorModule, int vectorBits, boolean optimizingJit) {
  private static final int LEAST_VECTOR_BITS = 128;
  private static final String LATER = "it is not part of this version; use vector or auto";

  /** The facts of the running JVM. */
  public static Probes gather() {
    boolean module = vectorModuleLoaded();
    return new Probes(module, module ? VectorFacts.preferredBits() : 0, runsOptimizingJit());
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
      case ONEDNN, CUDA -> Optional.of(LATER);
    };
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
