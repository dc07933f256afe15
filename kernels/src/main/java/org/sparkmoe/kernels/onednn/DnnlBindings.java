package org.sparkmoe.kernels.onednn;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;

/**
 * The functions of libdnnl that this package calls, named like them. Handles of oneDNN (engine,
 * stream, primitive, …) are pointers and travel as {@code long}: a long needs no object. Kept by
 * hand against {@code oneapi/dnnl/dnnl.h} of version 3.
 *
 * @param ompSetNumThreads sets how many threads OpenMP uses for calls of the calling thread
 */
record DnnlBindings(
    MethodHandle version,
    MethodHandle getEffectiveCpuIsa,
    MethodHandle engineCreate,
    MethodHandle streamCreate,
    MethodHandle streamDestroy,
    MethodHandle memoryDescCreateWithStrides,
    MethodHandle memoryDescCreateWithTag,
    MethodHandle memoryDescClone,
    MethodHandle memoryDescGetSize,
    MethodHandle memoryDescQuery,
    MethodHandle memoryDescDestroy,
    MethodHandle memoryCreate,
    MethodHandle memorySetDataHandle,
    MethodHandle memoryDestroy,
    MethodHandle primitiveAttrCreate,
    MethodHandle primitiveAttrSetScratchpadMode,
    MethodHandle primitiveAttrSetPostOps,
    MethodHandle primitiveAttrDestroy,
    MethodHandle postOpsCreate,
    MethodHandle postOpsAppendSum,
    MethodHandle postOpsAppendEltwise,
    MethodHandle postOpsAppendBinary,
    MethodHandle postOpsDestroy,
    MethodHandle matmulPrimitiveDescCreate,
    MethodHandle reorderPrimitiveDescCreate,
    MethodHandle primitiveDescQuery,
    MethodHandle primitiveDescQueryMd,
    MethodHandle primitiveDescDestroy,
    MethodHandle primitiveCreate,
    MethodHandle primitiveExecute,
    MethodHandle primitiveDestroy,
    MethodHandle ompSetNumThreads) {

  /**
   * Looks every function up.
   *
   * @throws java.util.NoSuchElementException where the library lacks one; the message names it
   */
  static DnnlBindings link(SymbolLookup library) {
    Functions dnnl = new Functions(library);
    return new DnnlBindings(
        dnnl.link("dnnl_version", FunctionDescriptor.of(ADDRESS)),
        dnnl.status("dnnl_get_effective_cpu_isa"),
        dnnl.status("dnnl_engine_create", ADDRESS, JAVA_INT, JAVA_LONG),
        dnnl.status("dnnl_stream_create", ADDRESS, JAVA_LONG, JAVA_INT),
        dnnl.status("dnnl_stream_destroy", JAVA_LONG),
        dnnl.status(
            "dnnl_memory_desc_create_with_strides", ADDRESS, JAVA_INT, ADDRESS, JAVA_INT, ADDRESS),
        dnnl.status(
            "dnnl_memory_desc_create_with_tag", ADDRESS, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT),
        dnnl.status("dnnl_memory_desc_clone", ADDRESS, JAVA_LONG),
        dnnl.link("dnnl_memory_desc_get_size", FunctionDescriptor.of(JAVA_LONG, JAVA_LONG)),
        dnnl.status("dnnl_memory_desc_query", JAVA_LONG, JAVA_INT, ADDRESS),
        dnnl.status("dnnl_memory_desc_destroy", JAVA_LONG),
        dnnl.status("dnnl_memory_create", ADDRESS, JAVA_LONG, JAVA_LONG, JAVA_LONG),
        dnnl.brief("dnnl_memory_set_data_handle", JAVA_LONG, JAVA_LONG),
        dnnl.status("dnnl_memory_destroy", JAVA_LONG),
        dnnl.status("dnnl_primitive_attr_create", ADDRESS),
        dnnl.status("dnnl_primitive_attr_set_scratchpad_mode", JAVA_LONG, JAVA_INT),
        dnnl.status("dnnl_primitive_attr_set_post_ops", JAVA_LONG, JAVA_LONG),
        dnnl.status("dnnl_primitive_attr_destroy", JAVA_LONG),
        dnnl.status("dnnl_post_ops_create", ADDRESS),
        dnnl.status("dnnl_post_ops_append_sum", JAVA_LONG, JAVA_FLOAT, JAVA_INT, JAVA_INT),
        dnnl.status("dnnl_post_ops_append_eltwise", JAVA_LONG, JAVA_INT, JAVA_FLOAT, JAVA_FLOAT),
        dnnl.status("dnnl_post_ops_append_binary", JAVA_LONG, JAVA_INT, JAVA_LONG),
        dnnl.status("dnnl_post_ops_destroy", JAVA_LONG),
        dnnl.status(
            "dnnl_matmul_primitive_desc_create",
            ADDRESS,
            JAVA_LONG,
            JAVA_LONG,
            JAVA_LONG,
            JAVA_LONG,
            JAVA_LONG,
            JAVA_LONG),
        dnnl.status(
            "dnnl_reorder_primitive_desc_create",
            ADDRESS,
            JAVA_LONG,
            JAVA_LONG,
            JAVA_LONG,
            JAVA_LONG,
            JAVA_LONG),
        dnnl.status("dnnl_primitive_desc_query", JAVA_LONG, JAVA_INT, JAVA_INT, ADDRESS),
        dnnl.link(
            "dnnl_primitive_desc_query_md",
            FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT)),
        dnnl.status("dnnl_primitive_desc_destroy", JAVA_LONG),
        dnnl.status("dnnl_primitive_create", ADDRESS, JAVA_LONG),
        dnnl.status("dnnl_primitive_execute", JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_LONG),
        dnnl.status("dnnl_primitive_destroy", JAVA_LONG),
        dnnl.briefVoid("omp_set_num_threads", JAVA_INT));
  }

  /** Turns names into handles. */
  private record Functions(SymbolLookup library) {
    @SuppressWarnings("restricted") // signatures are those of dnnl.h
    MethodHandle link(String name, FunctionDescriptor type, Linker.Option... options) {
      return Linker.nativeLinker().downcallHandle(library.findOrThrow(name), type, options);
    }

    /** A function that returns a status. */
    MethodHandle status(String name, MemoryLayout... parameters) {
      return link(name, FunctionDescriptor.of(JAVA_INT, parameters));
    }

    /** A function that stores a number and returns a status: nanoseconds, so no state changes. */
    MethodHandle brief(String name, MemoryLayout... parameters) {
      return link(name, FunctionDescriptor.of(JAVA_INT, parameters), Linker.Option.critical(false));
    }

    /** As {@link #brief}, returning nothing. */
    MethodHandle briefVoid(String name, MemoryLayout... parameters) {
      return link(name, FunctionDescriptor.ofVoid(parameters), Linker.Option.critical(false));
    }
  }
}
