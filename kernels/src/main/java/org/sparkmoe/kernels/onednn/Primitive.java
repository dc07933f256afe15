package org.sparkmoe.kernels.onednn;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.util.Arrays;

/**
 * A compiled operation of oneDNN. Any number of threads run it at the same time, each with a {@link
 * Call} of its own; calls are kept for the next user, so that a warm primitive allocates nothing.
 * What it holds outside the heap is freed when it becomes unreachable.
 */
final class Primitive {
  private static final Cleaner CLEANER = Cleaner.create();
  private static final int SCRATCHPAD = 80;
  private static final int ARG_FROM = 1;
  private static final int ARG_TO = 17;
  private static final int IN_ORDER = 1;
  private static final long ALLOCATE = -1;
  private static final long EXEC_ARG_BYTES = 16;

  private final long handle;
  private final int[] arguments;
  private final long[] descriptors;
  private final Handles handles;

  /** Calls for the next user, linked by {@link Call#next}; guarded by {@link #handles}. */
  private Call idle;

  /**
   * Compiles a primitive.
   *
   * @param primitiveDesc what to compile; its scratchpad, where it has one, is the caller's
   * @param arguments numbers of its arguments ({@code DNNL_ARG_*})
   * @param descriptors of the arguments; owned by {@code handles}
   * @param handles everything the primitive needs as long as it lives; taken over
   */
  Primitive(long primitiveDesc, int[] arguments, long[] descriptors, Handles handles) {
    Dnnl dnnl = Library.dnnl();
    dnnl.useOneThread();
    this.handle =
        handles.own(
            dnnl.create("dnnl_primitive_create", dnnl.bindings().primitiveCreate(), primitiveDesc),
            "dnnl_primitive_destroy",
            dnnl.bindings().primitiveDestroy());
    long scratchpad = MatmulDesc.queryDesc(primitiveDesc, MatmulDesc.QUERY_SCRATCHPAD);
    boolean scratch = scratchpad != 0 && Descriptors.bytes(scratchpad) > 0;
    this.arguments = scratch ? append(arguments, SCRATCHPAD) : arguments.clone();
    this.descriptors =
        scratch ? append(descriptors, Descriptors.copy(scratchpad, handles)) : descriptors.clone();
    this.handles = handles;
    CLEANER.register(this, handles);
  }

  /**
   * Compiles a copy from one order or type to another; its arguments are the source and the copy.
   *
   * @param handles owns both descriptors; taken over
   */
  static Primitive reorder(long from, long to, Handles handles) {
    Dnnl dnnl = Library.dnnl();
    dnnl.useOneThread();
    try (Handles temporary = new Handles()) {
      long desc =
          temporary.own(
              dnnl.create(
                  "dnnl_reorder_primitive_desc_create",
                  dnnl.bindings().reorderPrimitiveDescCreate(),
                  from,
                  dnnl.engine(),
                  to,
                  dnnl.engine(),
                  0L),
              "dnnl_primitive_desc_destroy",
              dnnl.bindings().primitiveDescDestroy());
      return new Primitive(desc, new int[] {ARG_FROM, ARG_TO}, new long[] {from, to}, handles);
    }
  }

  /** A call nobody else uses, until it is executed. */
  Call take() {
    synchronized (handles) {
      Call call = idle;
      if (call != null) {
        idle = call.next;
        return call;
      }
    }
    return new Call();
  }

  private void give(Call call) {
    synchronized (handles) {
      call.next = idle;
      idle = call;
    }
  }

  /** The arguments of one execution: a stream, and a memory object for each argument. */
  final class Call {
    private final long stream;
    private final long[] memories;
    private final MemorySegment list;
    private Call next;

    private Call() {
      Dnnl dnnl = Library.dnnl();
      DnnlBindings b = dnnl.bindings();
      stream =
          handles.own(
              dnnl.create("dnnl_stream_create", b.streamCreate(), dnnl.engine(), IN_ORDER),
              "dnnl_stream_destroy",
              b.streamDestroy());
      memories = new long[arguments.length];
      list = Arena.ofAuto().allocate(EXEC_ARG_BYTES * arguments.length, Long.BYTES);
      for (int i = 0; i < arguments.length; i++) {
        long data = arguments[i] == SCRATCHPAD ? ALLOCATE : 0;
        memories[i] =
            handles.own(
                dnnl.create(
                    "dnnl_memory_create", b.memoryCreate(), descriptors[i], dnnl.engine(), data),
                "dnnl_memory_destroy",
                b.memoryDestroy());
        list.set(JAVA_INT, i * EXEC_ARG_BYTES, arguments[i]);
        list.set(JAVA_LONG, i * EXEC_ARG_BYTES + Long.BYTES, memories[i]);
      }
    }

    /** Points argument {@code index} at native memory. */
    void set(int index, long address) {
      Library.dnnl().setData(memories[index], address);
    }

    /** Computes, on this thread alone, and gives this call back. */
    void execute() {
      Dnnl dnnl = Library.dnnl();
      dnnl.useOneThread();
      try {
        dnnl.execute(handle, stream, memories.length, list.address());
      } finally {
        Reference.reachabilityFence(this);
      }
      give(this);
    }
  }

  private static int[] append(int[] values, int last) {
    int[] longer = Arrays.copyOf(values, values.length + 1);
    longer[values.length] = last;
    return longer;
  }

  private static long[] append(long[] values, long last) {
    long[] longer = Arrays.copyOf(values, values.length + 1);
    longer[values.length] = last;
    return longer;
  }
}
