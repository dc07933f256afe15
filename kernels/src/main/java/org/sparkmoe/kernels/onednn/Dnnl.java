package org.sparkmoe.kernels.onednn;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A loaded libdnnl and its CPU engine. Functions that make something go through {@link #create},
 * which boxes its arguments; the three that run for every product have exact calls. Thread-safe:
 * the engine is shared, everything else belongs to whoever made it.
 */
final class Dnnl {
  private static final int CPU = 1;

  private final DnnlBindings bindings;
  private final long engine;

  /**
   * Loads the library for the rest of the process.
   *
   * @throws DnnlException where it has no CPU engine
   * @throws IllegalStateException where the file cannot be loaded, with the loader's words
   */
  Dnnl(Path file) {
    this.bindings = DnnlBindings.link(open(file));
    this.engine = create("dnnl_engine_create", bindings.engineCreate(), CPU, 0L);
  }

  @SuppressWarnings("restricted") // the file's hash was just checked
  private static SymbolLookup open(Path file) {
    try {
      return SymbolLookup.libraryLookup(file, Arena.global());
    } catch (IllegalArgumentException e) {
      throw new IllegalStateException(LoaderError.of(file), e);
    }
  }

  DnnlBindings bindings() {
    return bindings;
  }

  long engine() {
    return engine;
  }

  /** Major, minor and patch, as {@code 3.13.0}. */
  @SuppressWarnings("restricted") // dnnl_version_t starts with three ints
  String version() {
    MemorySegment version = (MemorySegment) invoke("dnnl_version", bindings.version());
    MemorySegment numbers = version.reinterpret(3L * Integer.BYTES);
    return "%d.%d.%d"
        .formatted(
            numbers.getAtIndex(JAVA_INT, 0),
            numbers.getAtIndex(JAVA_INT, 1),
            numbers.getAtIndex(JAVA_INT, 2));
  }

  /** {@code dnnl_cpu_isa_t}: what its kernels are compiled for. */
  int cpuIsa() {
    return (int) invoke("dnnl_get_effective_cpu_isa", bindings.getEffectiveCpuIsa());
  }

  /** Calls a function that stores a new handle through its first parameter. */
  long create(String call, MethodHandle function, Object... rest) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment result = arena.allocate(ADDRESS);
      List<Object> arguments = new ArrayList<>(rest.length + 1);
      arguments.add(result);
      arguments.addAll(Arrays.asList(rest));
      call(call, function, arguments.toArray());
      return result.get(JAVA_LONG, 0);
    }
  }

  /** Calls a function that returns a status. */
  void call(String call, MethodHandle function, Object... arguments) {
    DnnlException.check((int) invoke(call, function, arguments), call);
  }

  /** Calls any function. */
  Object invoke(String call, MethodHandle function, Object... arguments) {
    try {
      return function.invokeWithArguments(arguments);
    } catch (Throwable e) {
      throw new AssertionError(call, e);
    }
  }

  /** The string that a primitive descriptor answers to query {@code what}. */
  @SuppressWarnings("restricted") // the answer is a C string of the library
  String queryString(long primitiveDesc, int what) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment result = arena.allocate(ADDRESS);
      call(
          "dnnl_primitive_desc_query",
          bindings.primitiveDescQuery(),
          primitiveDesc,
          what,
          0,
          result);
      return result.get(ADDRESS.withTargetLayout(cString()), 0).getString(0);
    }
  }

  private static MemoryLayout cString() {
    return MemoryLayout.sequenceLayout(Long.MAX_VALUE, JAVA_BYTE);
  }

  /** Points a memory object at {@code address}. */
  void setData(long memory, long address) {
    int status;
    try {
      status = (int) bindings.memorySetDataHandle().invokeExact(memory, address);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
    DnnlException.check(status, "dnnl_memory_set_data_handle");
  }

  /** Runs a primitive and returns when it is done: a CPU stream has no thread of its own. */
  void execute(long primitive, long stream, int count, long arguments) {
    int status;
    try {
      status = (int) bindings.primitiveExecute().invokeExact(primitive, stream, count, arguments);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
    DnnlException.check(status, "dnnl_primitive_execute");
  }

  /**
   * Keeps what the calling thread runs next on that thread. OpenMP holds the number per thread, so
   * it is said again before every call that computes or that plans for a number of threads.
   */
  void useOneThread() {
    try {
      bindings.ompSetNumThreads().invokeExact(1);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
