package org.sparkmoe.job.bench;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** OpenBLAS by its C interface. */
@SuppressWarnings("restricted") // Native calls are what it is for.
final class OpenBlas {
  private static final String FOLDER = "/org/bytedeco/openblas/linux-x86_64/";

  /** In the order in which they need one another. */
  private static final String[] LIBRARIES = {
    "libgcc_s.so.1", "libquadmath.so.0", "libgfortran.so.5", "libopenblas.so.0"
  };

  private static final int ROW_MAJOR = 101;
  private static final int NO_TRANS = 111;
  private static final int TRANS = 112;

  private final MethodHandle sgemm;
  private final MethodHandle setThreads;
  private final MethodHandle coreName;

  private OpenBlas(SymbolLookup library) {
    this.sgemm =
        handle(
            library,
            "cblas_sgemm",
            FunctionDescriptor.ofVoid(
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_INT,
                JAVA_FLOAT,
                ADDRESS,
                JAVA_INT,
                ADDRESS,
                JAVA_INT,
                JAVA_FLOAT,
                ADDRESS,
                JAVA_INT));
    this.setThreads =
        handle(library, "openblas_set_num_threads", FunctionDescriptor.ofVoid(JAVA_INT));
    this.coreName = handle(library, "openblas_get_corename", FunctionDescriptor.of(ADDRESS));
  }

  /** Loads the library of the jar on the class path; it stays loaded. */
  static OpenBlas load() {
    try {
      Path folder = Files.createTempDirectory("moe-openblas");
      for (String name : LIBRARIES) {
        Path file = folder.resolve(name);
        try (InputStream in = OpenBlas.class.getResourceAsStream(FOLDER + name)) {
          if (in == null) {
            throw new IllegalStateException(
                "%s%s is not on the class path; OpenBLAS comes for linux-x86_64 only"
                    .formatted(FOLDER, name));
          }
          Files.copy(in, file, StandardCopyOption.REPLACE_EXISTING);
        }
      }
      SymbolLookup library = null;
      for (String name : LIBRARIES) {
        // Loading by path makes the name known, which the next library asks the linker for.
        library = SymbolLookup.libraryLookup(folder.resolve(name), Arena.global());
      }
      delete(folder);
      return new OpenBlas(library);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot unpack OpenBLAS", e);
    }
  }

  /** Threads inside a product. */
  void setThreads(int threads) {
    try {
      setThreads.invokeExact(threads);
    } catch (Throwable e) {
      throw failed("openblas_set_num_threads", e);
    }
  }

  /** The processor that its kernels are for. */
  String coreName() {
    try {
      MemorySegment name = (MemorySegment) coreName.invokeExact();
      return name.reinterpret(64).getString(0);
    } catch (Throwable e) {
      throw failed("openblas_get_corename", e);
    }
  }

  /** {@code Y = X Wᵀ}: x is m × k, w is n × k, y is m × n, all row-major f32 and native. */
  void multiply(int m, int n, int k, MemorySegment x, MemorySegment w, MemorySegment y) {
    try {
      sgemm.invokeExact(ROW_MAJOR, NO_TRANS, TRANS, m, n, k, 1f, x, k, w, k, 0f, y, n);
    } catch (Throwable e) {
      throw failed("cblas_sgemm", e);
    }
  }

  private static MethodHandle handle(
      SymbolLookup library, String name, FunctionDescriptor descriptor) {
    return Linker.nativeLinker().downcallHandle(library.findOrThrow(name), descriptor);
  }

  /** What is mapped stays mapped. */
  private static void delete(Path folder) throws IOException {
    for (String name : LIBRARIES) {
      Files.delete(folder.resolve(name));
    }
    Files.delete(folder);
  }

  private static IllegalStateException failed(String call, Throwable cause) {
    return new IllegalStateException(call + " cannot be called", cause);
  }
}
