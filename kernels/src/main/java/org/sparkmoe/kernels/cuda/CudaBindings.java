package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/**
 * The functions of libcuda that this package calls, named like them. Handles (context, module,
 * stream, …) and addresses on the device travel as {@code long}. Kept by hand against {@code
 * cuda.h}; the names with a suffix are those that {@code cuda.h} maps the plain ones to.
 *
 * @param tensorMapEncodeTiled absent before CUDA 12
 */
record CudaBindings(
    MethodHandle init,
    MethodHandle driverGetVersion,
    MethodHandle getErrorName,
    MethodHandle getErrorString,
    MethodHandle deviceGetCount,
    MethodHandle deviceGet,
    MethodHandle deviceGetName,
    MethodHandle deviceGetAttribute,
    MethodHandle deviceTotalMem,
    MethodHandle devicePrimaryCtxRetain,
    MethodHandle devicePrimaryCtxRelease,
    MethodHandle ctxSetCurrent,
    MethodHandle memGetInfo,
    MethodHandle memAlloc,
    MethodHandle memFree,
    MethodHandle memHostAlloc,
    MethodHandle memFreeHost,
    MethodHandle memcpyHtoDAsync,
    MethodHandle memcpyDtoHAsync,
    MethodHandle moduleLoadDataEx,
    MethodHandle moduleUnload,
    MethodHandle moduleGetFunction,
    MethodHandle funcSetAttribute,
    MethodHandle streamCreate,
    MethodHandle streamSynchronize,
    MethodHandle streamDestroy,
    MethodHandle eventCreate,
    MethodHandle eventRecord,
    MethodHandle eventSynchronize,
    MethodHandle eventElapsedTime,
    MethodHandle eventDestroy,
    MethodHandle launchKernel,
    Optional<MethodHandle> tensorMapEncodeTiled) {

  /**
   * Looks the functions up.
   *
   * @throws java.util.NoSuchElementException where the library lacks one that every driver has; the
   *     message names it
   */
  static CudaBindings link(SymbolLookup library) {
    Functions cuda = new Functions(library);
    return new CudaBindings(
        cuda.result("cuInit", JAVA_INT),
        cuda.result("cuDriverGetVersion", ADDRESS),
        cuda.result("cuGetErrorName", JAVA_INT, ADDRESS),
        cuda.result("cuGetErrorString", JAVA_INT, ADDRESS),
        cuda.result("cuDeviceGetCount", ADDRESS),
        cuda.result("cuDeviceGet", ADDRESS, JAVA_INT),
        cuda.result("cuDeviceGetName", ADDRESS, JAVA_INT, JAVA_INT),
        cuda.result("cuDeviceGetAttribute", ADDRESS, JAVA_INT, JAVA_INT),
        cuda.result("cuDeviceTotalMem_v2", ADDRESS, JAVA_INT),
        cuda.result("cuDevicePrimaryCtxRetain", ADDRESS, JAVA_INT),
        cuda.result("cuDevicePrimaryCtxRelease_v2", JAVA_INT),
        cuda.result("cuCtxSetCurrent", JAVA_LONG),
        cuda.result("cuMemGetInfo_v2", ADDRESS, ADDRESS),
        cuda.result("cuMemAlloc_v2", ADDRESS, JAVA_LONG),
        cuda.result("cuMemFree_v2", JAVA_LONG),
        cuda.result("cuMemHostAlloc", ADDRESS, JAVA_LONG, JAVA_INT),
        cuda.result("cuMemFreeHost", JAVA_LONG),
        cuda.result("cuMemcpyHtoDAsync_v2", JAVA_LONG, ADDRESS, JAVA_LONG, JAVA_LONG),
        cuda.result("cuMemcpyDtoHAsync_v2", ADDRESS, JAVA_LONG, JAVA_LONG, JAVA_LONG),
        cuda.result("cuModuleLoadDataEx", ADDRESS, ADDRESS, JAVA_INT, ADDRESS, ADDRESS),
        cuda.result("cuModuleUnload", JAVA_LONG),
        cuda.result("cuModuleGetFunction", ADDRESS, JAVA_LONG, ADDRESS),
        cuda.result("cuFuncSetAttribute", JAVA_LONG, JAVA_INT, JAVA_INT),
        cuda.result("cuStreamCreate", ADDRESS, JAVA_INT),
        cuda.result("cuStreamSynchronize", JAVA_LONG),
        cuda.result("cuStreamDestroy_v2", JAVA_LONG),
        cuda.result("cuEventCreate", ADDRESS, JAVA_INT),
        cuda.result("cuEventRecord", JAVA_LONG, JAVA_LONG),
        cuda.result("cuEventSynchronize", JAVA_LONG),
        cuda.result("cuEventElapsedTime", ADDRESS, JAVA_LONG, JAVA_LONG),
        cuda.result("cuEventDestroy_v2", JAVA_LONG),
        cuda.result(
            "cuLaunchKernel",
            JAVA_LONG,
            JAVA_INT,
            JAVA_INT,
            JAVA_INT,
            JAVA_INT,
            JAVA_INT,
            JAVA_INT,
            JAVA_INT,
            JAVA_LONG,
            ADDRESS,
            ADDRESS),
        cuda.resultIfThere(
            "cuTensorMapEncodeTiled",
            ADDRESS,
            JAVA_INT,
            JAVA_INT,
            JAVA_LONG,
            ADDRESS,
            ADDRESS,
            ADDRESS,
            ADDRESS,
            JAVA_INT,
            JAVA_INT,
            JAVA_INT,
            JAVA_INT));
  }

  /** Turns names into handles. */
  private record Functions(SymbolLookup library) {
    /** A function that returns a {@code CUresult}. */
    @SuppressWarnings("restricted") // signatures are those of cuda.h
    MethodHandle result(String name, MemoryLayout... parameters) {
      return Linker.nativeLinker()
          .downcallHandle(library.findOrThrow(name), FunctionDescriptor.of(JAVA_INT, parameters));
    }

    Optional<MethodHandle> resultIfThere(String name, MemoryLayout... parameters) {
      return library.find(name).map(there -> result(name, parameters));
    }
  }
}
