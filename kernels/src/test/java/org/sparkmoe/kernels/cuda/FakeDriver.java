package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A libcuda whose functions are upcalls into this class: it hands out numbers as handles, keeps
 * what was called, and copies nothing but what reading it back needs. Functions have the addresses
 * of C functions, so the bindings' signatures are put to the test as well.
 */
final class FakeDriver implements AutoCloseable {
  private static final long GIBIBYTE = 1L << 30;

  /** What was called, without questions to the driver. */
  final List<String> calls = new ArrayList<>();

  int devices = 1;
  int major = 9;
  int minor = 0;
  int multiprocessors = 4;
  int version = 12040;
  long totalBytes = 8 * GIBIBYTE;
  long freeBytes = 3 * GIBIBYTE;

  /** Results of functions that do not succeed, by name. */
  final Map<String, Integer> results = new HashMap<>();

  /** Rows of each expert, as a permutation would count them and tell the CPU. */
  int[] totals = {};

  /** Functions that the library lacks. */
  final List<String> missing = new ArrayList<>();

  private final Arena arena = Arena.ofShared();
  private final Map<String, MemorySegment> functions = new HashMap<>();
  private final Map<Long, String> names = new HashMap<>();
  private long nextHandle = 100;

  /** The driver over this library. */
  Driver driver() {
    return new Driver(lookup());
  }

  private SymbolLookup lookup() {
    return name ->
        missing.contains(name)
            ? Optional.empty()
            : Optional.of(functions.computeIfAbsent(name, this::stub));
  }

  @SuppressWarnings("restricted") // upcalls of this test
  private MemorySegment stub(String name) {
    FunctionDescriptor type = FunctionDescriptor.of(JAVA_INT, parameters(name));
    try {
      MethodHandle target =
          MethodHandles.lookup()
              .findVirtual(
                  FakeDriver.class,
                  "called",
                  MethodType.methodType(int.class, String.class, Object[].class))
              .bindTo(this)
              .bindTo(name)
              .asCollector(Object[].class, type.argumentLayouts().size())
              .asType(type.toMethodType());
      return Linker.nativeLinker().upcallStub(target, type, arena);
    } catch (ReflectiveOperationException e) {
      throw new LinkageError(name, e);
    }
  }

  /** As {@code cuda.h} declares them. */
  private static MemoryLayout[] parameters(String name) {
    return switch (name) {
      case "cuInit", "cuDevicePrimaryCtxRelease_v2" -> of(JAVA_INT);
      case "cuDriverGetVersion", "cuDeviceGetCount" -> of(ADDRESS);
      case "cuGetErrorName", "cuGetErrorString" -> of(JAVA_INT, ADDRESS);
      case "cuDeviceGet",
          "cuDeviceTotalMem_v2",
          "cuDevicePrimaryCtxRetain",
          "cuStreamCreate",
          "cuEventCreate" ->
          of(ADDRESS, JAVA_INT);
      case "cuDeviceGetName", "cuDeviceGetAttribute" -> of(ADDRESS, JAVA_INT, JAVA_INT);
      case "cuMemGetInfo_v2" -> of(ADDRESS, ADDRESS);
      case "cuMemAlloc_v2" -> of(ADDRESS, JAVA_LONG);
      case "cuMemHostAlloc" -> of(ADDRESS, JAVA_LONG, JAVA_INT);
      case "cuMemcpyHtoDAsync_v2" -> of(JAVA_LONG, ADDRESS, JAVA_LONG, JAVA_LONG);
      case "cuMemcpyDtoHAsync_v2" -> of(ADDRESS, JAVA_LONG, JAVA_LONG, JAVA_LONG);
      case "cuModuleLoadDataEx" -> of(ADDRESS, ADDRESS, JAVA_INT, ADDRESS, ADDRESS);
      case "cuModuleGetFunction" -> of(ADDRESS, JAVA_LONG, ADDRESS);
      case "cuFuncSetAttribute" -> of(JAVA_LONG, JAVA_INT, JAVA_INT);
      case "cuEventRecord" -> of(JAVA_LONG, JAVA_LONG);
      case "cuEventElapsedTime" -> of(ADDRESS, JAVA_LONG, JAVA_LONG);
      case "cuTensorMapEncodeTiled" ->
          of(
              ADDRESS, JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS, ADDRESS, ADDRESS, ADDRESS, JAVA_INT,
              JAVA_INT, JAVA_INT, JAVA_INT);
      case "cuLaunchKernel" ->
          of(
              JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT,
              JAVA_LONG, ADDRESS, ADDRESS);
      default -> of(JAVA_LONG);
    };
  }

  private static MemoryLayout[] of(MemoryLayout... parameters) {
    return parameters;
  }

  /** The target of every upcall. */
  @SuppressWarnings("UnusedMethod") // found by its name
  private synchronized int called(String name, Object[] arguments) {
    if (results.containsKey(name)) {
      return results.get(name);
    }
    switch (name) {
      case "cuDriverGetVersion" -> store(arguments[0], version);
      case "cuDeviceGetCount" -> store(arguments[0], devices);
      case "cuDeviceGet" -> store(arguments[0], (int) arguments[1]);
      case "cuDeviceGetName" -> out(arguments[0], 256).setString(0, "Fake 9000");
      case "cuDeviceGetAttribute" -> store(arguments[0], attribute((int) arguments[1]));
      case "cuDeviceTotalMem_v2" -> store(arguments[0], totalBytes);
      case "cuMemGetInfo_v2" -> {
        store(arguments[0], freeBytes);
        store(arguments[1], totalBytes);
      }
      case "cuGetErrorName" -> text(arguments, "CUDA_ERROR_FAKE_");
      case "cuGetErrorString" -> text(arguments, "fake error ");
      case "cuEventElapsedTime" -> out(arguments[0], 4).set(JAVA_FLOAT, 0, 2.5f);
      case "cuMemAlloc_v2" -> {
        store(arguments[0], nextHandle += 1L << 20);
        calls.add("alloc " + arguments[1]);
      }
      case "cuMemHostAlloc" -> {
        store(arguments[0], arena.allocate((long) arguments[1]).address());
        calls.add("host alloc " + arguments[1]);
      }
      case "cuModuleGetFunction" -> {
        store(arguments[0], ++nextHandle);
        names.put(nextHandle, out(arguments[2], 64).getString(0));
        calls.add("function " + names.get(nextHandle) + " = " + nextHandle);
      }
      case "cuDevicePrimaryCtxRetain", "cuModuleLoadDataEx", "cuStreamCreate", "cuEventCreate" -> {
        store(arguments[0], ++nextHandle);
        calls.add(name + " = " + nextHandle);
      }
      case "cuTensorMapEncodeTiled" -> calls.add("map " + map(arguments));
      case "cuLaunchKernel" -> {
        calls.add("launch " + Arrays.asList(Arrays.copyOf(arguments, 8)));
        if (names.get((long) arguments[0]).equals("place_stretches")) {
          tellTotals(arguments[9]);
        }
      }
      case "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2" -> calls.add(name + " " + arguments[2]);
      case "cuCtxSetCurrent", "cuInit", "cuEventRecord", "cuEventSynchronize" -> {}
      default -> calls.add(name + " " + arguments[0]);
    }
    return 0;
  }

  /** Its last argument is where the CPU reads them. */
  private void tellTotals(Object pointers) {
    MemorySegment last = out(pointers, 5 * 8L).get(ADDRESS, 4 * 8L);
    MemorySegment told = MemorySegment.ofAddress(out(last, 8).get(JAVA_LONG, 0));
    out(told, 4L * totals.length).copyFrom(MemorySegment.ofArray(totals));
  }

  /** Element type, sizes, strides in bytes and tile of a tensor map. */
  private static String map(Object[] arguments) {
    int rank = (int) arguments[2];
    long[] sizes = out(arguments[4], 8L * rank).toArray(JAVA_LONG);
    long[] strides = out(arguments[5], 8L * (rank - 1)).toArray(JAVA_LONG);
    int[] tile = out(arguments[6], 4L * rank).toArray(JAVA_INT);
    return "%s %s %s %s"
        .formatted(
            arguments[1], Arrays.toString(sizes), Arrays.toString(strides), Arrays.toString(tile));
  }

  private int attribute(int attribute) {
    return switch (attribute) {
      case 16 -> multiprocessors;
      case 75 -> major;
      case 76 -> minor;
      default -> throw new AssertionError("attribute " + attribute);
    };
  }

  private void text(Object[] arguments, String text) {
    out(arguments[1], 8).set(ADDRESS, 0, arena.allocateFrom(text + arguments[0]));
  }

  private static void store(Object at, int value) {
    out(at, Integer.BYTES).set(JAVA_INT, 0, value);
  }

  private static void store(Object at, long value) {
    out(at, Long.BYTES).set(JAVA_LONG, 0, value);
  }

  @SuppressWarnings("restricted") // sizes are those of the C declarations
  private static MemorySegment out(Object pointer, long bytes) {
    return ((MemorySegment) pointer)
        .reinterpret(bytes)
        .asSlice(0, MemoryLayout.sequenceLayout(bytes, JAVA_BYTE));
  }

  @Override
  public void close() {
    arena.close();
  }
}
