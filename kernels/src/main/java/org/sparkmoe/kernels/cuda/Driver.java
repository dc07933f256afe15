package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A loaded libcuda. Calls box their arguments: each of them starts work that takes far longer.
 * Thread-safe.
 */
final class Driver {
  /** {@code CUDA_ERROR_NO_DEVICE}. */
  static final int NO_DEVICE = 100;

  /** {@code CUDA_ERROR_OUT_OF_MEMORY}. */
  static final int OUT_OF_MEMORY = 2;

  private final CudaBindings bindings;

  /**
   * Links the library.
   *
   * @throws java.util.NoSuchElementException where it lacks a function
   */
  Driver(SymbolLookup library) {
    this.bindings = CudaBindings.link(library);
  }

  CudaBindings bindings() {
    return bindings;
  }

  /** Calls a function. */
  void call(String call, MethodHandle function, Object... arguments) {
    check(result(call, function, arguments), call);
  }

  /** Calls a function and returns its result, unchecked. */
  int result(String call, MethodHandle function, Object... arguments) {
    try {
      return (int) function.invokeWithArguments(arguments);
    } catch (Throwable e) {
      throw new AssertionError(call, e);
    }
  }

  /** Calls a function that stores a handle or an address through its first parameter. */
  long create(String call, MethodHandle function, Object... rest) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment result = arena.allocate(JAVA_LONG);
      call(call, function, prepend(result, rest));
      return result.get(JAVA_LONG, 0);
    }
  }

  /** Calls a function that stores an int through its first parameter. */
  int query(String call, MethodHandle function, Object... rest) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment result = arena.allocate(JAVA_INT);
      call(call, function, prepend(result, rest));
      return result.get(JAVA_INT, 0);
    }
  }

  /** Throws unless {@code result} is success. */
  void check(int result, String call) {
    if (result != 0) {
      throw failure(result, call);
    }
  }

  CudaException failure(int result, String call) {
    return new CudaException(
        "%s: %s (%d), %s"
            .formatted(
                call,
                text("cuGetErrorName", bindings.getErrorName(), result, "unknown error"),
                result,
                text("cuGetErrorString", bindings.getErrorString(), result, "without a text")));
  }

  @SuppressWarnings("restricted") // a C string of the library that lives as long as it
  private String text(String call, MethodHandle function, int result, String unknown) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment text = arena.allocate(ADDRESS);
      if (result(call, function, result, text) != 0
          || text.get(ADDRESS, 0).equals(MemorySegment.NULL)) {
        return unknown;
      }
      MemoryLayout string = MemoryLayout.sequenceLayout(Long.MAX_VALUE, JAVA_BYTE);
      return text.get(ADDRESS.withTargetLayout(string), 0).getString(0);
    }
  }

  private static Object[] prepend(Object first, Object[] rest) {
    List<Object> all = new ArrayList<>(rest.length + 1);
    all.add(first);
    all.addAll(Arrays.asList(rest));
    return all.toArray();
  }
}
