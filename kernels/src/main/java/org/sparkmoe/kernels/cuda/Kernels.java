package org.sparkmoe.kernels.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Our kernels, loaded into a context: the driver compiles them for its GPU, once per user and
 * driver.
 *
 * @param innerGated by type of the weights: both projections and the activation
 * @param innerPlain as above, without an up projection
 * @param outer the projection back
 * @param pad rounds rows to the type of the weights
 * @param combine weighs and sums over slots
 * @param scatter brings rows to the order of the assignments
 */
record Kernels(
    Map<DType, Kernel> innerGated,
    Map<DType, Kernel> innerPlain,
    Map<DType, Kernel> outer,
    Map<DType, Kernel> pad,
    Kernel combine,
    Kernel scatter) {
  static final String RESOURCE = "experts.ptx";

  /** {@code CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES}. */
  private static final int MAX_DYNAMIC_SHARED_BYTES = 8;

  /** A function of the module. */
  record Kernel(String name, long handle) {}

  static Kernels load(Driver driver, Owned owned) {
    CudaBindings cuda = driver.bindings();
    try (Arena arena = Arena.ofConfined()) {
      long module =
          driver.create(
              "cuModuleLoadDataEx",
              cuda.moduleLoadDataEx(),
              arena.allocateFrom(new String(ptx(), java.nio.charset.StandardCharsets.US_ASCII)),
              0,
              MemorySegment.NULL,
              MemorySegment.NULL);
      owned.own(module, "cuModuleUnload", cuda.moduleUnload());
      return new Kernels(
          byType(driver, module, "inner_gated", arena),
          byType(driver, module, "inner_plain", arena),
          byType(driver, module, "outer", arena),
          byType(driver, module, "pad", arena),
          find(driver, module, "combine", 0, arena),
          find(driver, module, "scatter", 0, arena));
    }
  }

  /** The PTX as it is shipped. */
  static byte[] ptx() {
    try (InputStream in = Kernels.class.getResourceAsStream(RESOURCE)) {
      if (in == null) {
        throw new IllegalStateException(RESOURCE + " is missing from the jar");
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Map<DType, Kernel> byType(Driver driver, long module, String name, Arena arena) {
    Map<DType, Kernel> kernels = new EnumMap<>(DType.class);
    for (DType type : DType.values()) {
      int shared = name.equals("pad") ? 0 : Tiling.of(type).sharedBytes();
      String typed = name + "_" + type.name().toLowerCase(Locale.ROOT);
      kernels.put(type, find(driver, module, typed, shared, arena));
    }
    return kernels;
  }

  private static Kernel find(Driver driver, long module, String name, int shared, Arena arena) {
    CudaBindings cuda = driver.bindings();
    long function =
        driver.create(
            "cuModuleGetFunction of " + name,
            cuda.moduleGetFunction(),
            module,
            arena.allocateFrom(name));
    if (shared > 0) {
      driver.call(
          "cuFuncSetAttribute of " + name,
          cuda.funcSetAttribute(),
          function,
          MAX_DYNAMIC_SHARED_BYTES,
          shared);
    }
    return new Kernel(name, function);
  }
}
