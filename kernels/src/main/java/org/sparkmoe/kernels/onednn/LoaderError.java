package org.sparkmoe.kernels.onednn;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/**
 * What the dynamic loader says about a file it does not load; the JDK's lookup keeps it to itself.
 */
final class LoaderError {
  private static final int RTLD_LAZY = 1;

  private LoaderError() {}

  /** The message for {@code file}, which was just refused. */
  @SuppressWarnings("restricted") // dlopen and dlerror of the C library
  static String of(Path file) {
    Linker linker = Linker.nativeLinker();
    MethodHandle open =
        linker.downcallHandle(
            linker.defaultLookup().findOrThrow("dlopen"),
            FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT));
    MethodHandle error =
        linker.downcallHandle(
            linker.defaultLookup().findOrThrow("dlerror"),
            FunctionDescriptor.of(
                ADDRESS.withTargetLayout(MemoryLayout.sequenceLayout(Long.MAX_VALUE, JAVA_BYTE))));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment opened =
          (MemorySegment) open.invokeExact(arena.allocateFrom(file.toString()), RTLD_LAZY);
      MemorySegment message = (MemorySegment) error.invokeExact();
      return opened.address() != 0 || message.address() == 0
          ? "cannot load " + file
          : message.getString(0);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
