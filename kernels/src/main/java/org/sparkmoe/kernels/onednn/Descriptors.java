package org.sparkmoe.kernels.onednn;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;

/** Descriptors of matrices in memory ({@code dnnl_memory_desc_t}). */
final class Descriptors {
  private static final int ANY = 1;
  private static final String DESTROY = "dnnl_memory_desc_destroy";

  private Descriptors() {}

  /** rows × cols, with the distance in elements between rows and between columns. */
  static long strided(
      ElementType type, long rows, long cols, long rowStride, long colStride, Handles owner) {
    Dnnl dnnl = Library.dnnl();
    try (Arena arena = Arena.ofConfined()) {
      long desc =
          dnnl.create(
              "dnnl_memory_desc_create_with_strides",
              dnnl.bindings().memoryDescCreateWithStrides(),
              2,
              arena.allocateFrom(JAVA_LONG, rows, cols),
              type.code(),
              arena.allocateFrom(JAVA_LONG, rowStride, colStride));
      return owner.own(desc, DESTROY, dnnl.bindings().memoryDescDestroy());
    }
  }

  /** rows × cols in the order that the primitive likes best. */
  static long any(ElementType type, long rows, long cols, Handles owner) {
    Dnnl dnnl = Library.dnnl();
    try (Arena arena = Arena.ofConfined()) {
      long desc =
          dnnl.create(
              "dnnl_memory_desc_create_with_tag",
              dnnl.bindings().memoryDescCreateWithTag(),
              2,
              arena.allocateFrom(JAVA_LONG, rows, cols),
              type.code(),
              ANY);
      return owner.own(desc, DESTROY, dnnl.bindings().memoryDescDestroy());
    }
  }

  /** A copy that outlives the primitive descriptor it was queried from. */
  static long copy(long desc, Handles owner) {
    Dnnl dnnl = Library.dnnl();
    return owner.own(
        dnnl.create("dnnl_memory_desc_clone", dnnl.bindings().memoryDescClone(), desc),
        DESTROY,
        dnnl.bindings().memoryDescDestroy());
  }

  /** Bytes that a matrix of this description takes; 0 for an empty one. */
  static long bytes(long desc) {
    Dnnl dnnl = Library.dnnl();
    return (long)
        dnnl.invoke("dnnl_memory_desc_get_size", dnnl.bindings().memoryDescGetSize(), desc);
  }
}
