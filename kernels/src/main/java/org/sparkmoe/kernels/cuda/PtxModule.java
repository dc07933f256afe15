package org.sparkmoe.kernels.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;

/**
 * A file of our kernels, loaded into the current context: the driver compiles it for its GPU, once
 * per user and driver.
 */
record PtxModule(Driver driver, long handle) {
  /** {@code CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES}. */
  private static final int MAX_DYNAMIC_SHARED_BYTES = 8;

  /** A function of a module. */
  record Kernel(String name, long handle) {}

  /** Loads the PTX of that name in the jar; {@code owned} unloads it. */
  static PtxModule load(Driver driver, String resource, Owned owned) {
    CudaBindings cuda = driver.bindings();
    try (Arena arena = Arena.ofConfined()) {
      long module =
          driver.create(
              "cuModuleLoadDataEx",
              cuda.moduleLoadDataEx(),
              arena.allocateFrom(ptx(resource), StandardCharsets.US_ASCII),
              0,
              MemorySegment.NULL,
              MemorySegment.NULL);
      owned.own(module, "cuModuleUnload", cuda.moduleUnload());
      return new PtxModule(driver, module);
    }
  }

  /** The PTX of that name, as it is shipped. */
  static String ptx(String resource) {
    try (InputStream in = PtxModule.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw new IllegalStateException(resource + " is missing from the jar");
      }
      return new String(in.readAllBytes(), StandardCharsets.US_ASCII);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A kernel that uses {@code sharedBytes} of dynamic shared memory. */
  Kernel kernel(String name, int sharedBytes) {
    CudaBindings cuda = driver.bindings();
    try (Arena arena = Arena.ofConfined()) {
      long function =
          driver.create(
              "cuModuleGetFunction of " + name,
              cuda.moduleGetFunction(),
              handle,
              arena.allocateFrom(name));
      if (sharedBytes > 0) {
        driver.call(
            "cuFuncSetAttribute of " + name,
            cuda.funcSetAttribute(),
            function,
            MAX_DYNAMIC_SHARED_BYTES,
            sharedBytes);
      }
      return new Kernel(name, function);
    }
  }

  /** The kernel for weights of {@code type}: a {@link DType} or a {@link CodeType}. */
  Kernel kernel(String name, Enum<?> type, int sharedBytes) {
    return kernel(name + "_" + type.name().toLowerCase(Locale.ROOT), sharedBytes);
  }
}
