package org.sparkmoe.kernels.onednn;

import java.util.List;

/**
 * One product of a tile of weights: {@code dst = postOps(src · weights + bias)}, or with {@code
 * accumulate} {@code postOps(dst + src · weights + bias)}.
 *
 * @param rows M
 * @param depth K of the tile
 * @param cols N of the tile
 * @param srcType type of src
 * @param srcStride elements from one row of src to the next
 * @param weightType type of the weights in memory
 * @param dstType type of dst
 * @param dstStride elements from one row of dst to the next; a gate has dense rows, because oneDNN
 *     has fast kernels for no other
 * @param bias whether N values are added
 * @param accumulate whether dst is added to
 * @param postOps applied in this order
 */
record MatmulDesc(
    int rows,
    int depth,
    int cols,
    ElementType srcType,
    int srcStride,
    ElementType weightType,
    ElementType dstType,
    int dstStride,
    boolean bias,
    boolean accumulate,
    List<PostOp> postOps) {
  /** Positions of the arguments of a {@link Primitive} made here; the gate's follows the bias's. */
  static final int SRC = 0;

  static final int WEIGHTS = 1;
  static final int DST = 2;
  static final int FIRST_OPTIONAL = 3;

  static final int QUERY_SCRATCHPAD = 136;
  private static final int QUERY_WEIGHTS = 131;
  private static final int QUERY_IMPLEMENTATION = 8;

  private static final int ARG_SRC = 1;
  private static final int ARG_SRC_1 = 2;
  private static final int ARG_DST = 17;
  private static final int ARG_WEIGHTS = 33;
  private static final int ARG_BIAS = 41;
  private static final int ARG_POST_OP = 32768;
  private static final int USER_SCRATCHPAD = 1;

  /**
   * The order of weights that oneDNN prefers for this product.
   *
   * @param owner gets the returned descriptor
   * @throws DnnlException where no fast implementation exists on this CPU
   */
  long preferredWeights(Handles owner) {
    try (Handles temporary = new Handles()) {
      long any = Descriptors.any(weightType, depth, cols, temporary);
      long desc = create(any, temporary);
      return Descriptors.copy(queryDesc(desc, QUERY_WEIGHTS), owner);
    }
  }

  /** Compiles the product for weights in the order {@code weights}. */
  Primitive compile(long weights) {
    Handles handles = new Handles();
    try (Handles temporary = new Handles()) {
      long desc = create(weights, temporary);
      boolean gated = gatePosition() >= 0;
      int[] arguments = new int[FIRST_OPTIONAL + (bias ? 1 : 0) + (gated ? 1 : 0)];
      long[] descriptors = new long[arguments.length];
      arguments[SRC] = ARG_SRC;
      descriptors[SRC] = src(handles);
      arguments[WEIGHTS] = ARG_WEIGHTS;
      descriptors[WEIGHTS] = Descriptors.copy(weights, handles);
      arguments[DST] = ARG_DST;
      descriptors[DST] = dst(handles);
      if (bias) {
        arguments[FIRST_OPTIONAL] = ARG_BIAS;
        descriptors[FIRST_OPTIONAL] = biasDesc(handles);
      }
      if (gated) {
        arguments[arguments.length - 1] = ARG_POST_OP * (gatePosition() + 1) | ARG_SRC_1;
        descriptors[arguments.length - 1] = gate(handles);
      }
      return new Primitive(desc, arguments, descriptors, handles);
    }
  }

  static long queryDesc(long primitiveDesc, int what) {
    Dnnl dnnl = Library.dnnl();
    return (long)
        dnnl.invoke(
            "dnnl_primitive_desc_query_md",
            dnnl.bindings().primitiveDescQueryMd(),
            primitiveDesc,
            what,
            0);
  }

  private long create(long weights, Handles owner) {
    Dnnl dnnl = Library.dnnl();
    dnnl.useOneThread();
    long desc =
        owner.own(
            dnnl.create(
                "dnnl_matmul_primitive_desc_create",
                dnnl.bindings().matmulPrimitiveDescCreate(),
                dnnl.engine(),
                src(owner),
                weights,
                bias ? biasDesc(owner) : 0L,
                dst(owner),
                attributes(owner)),
            "dnnl_primitive_desc_destroy",
            dnnl.bindings().primitiveDescDestroy());
    String implementation = dnnl.queryString(desc, QUERY_IMPLEMENTATION);
    if (implementation.startsWith("ref")) {
      throw new DnnlException(
          "no fast product of %s rows and %s weights of %d x %d on this CPU, only %s"
              .formatted(srcType, weightType, cols, depth, implementation));
    }
    return desc;
  }

  private long src(Handles owner) {
    return Descriptors.strided(srcType, rows, depth, srcStride, 1, owner);
  }

  private long dst(Handles owner) {
    return Descriptors.strided(dstType, rows, cols, dstStride, 1, owner);
  }

  private long gate(Handles owner) {
    return Descriptors.strided(ElementType.F32, rows, cols, cols, 1, owner);
  }

  private long biasDesc(Handles owner) {
    return Descriptors.strided(ElementType.F32, 1, cols, cols, 1, owner);
  }

  /** Position of the gate among all post-ops, or -1. */
  private int gatePosition() {
    int position = postOps.indexOf(PostOp.of(PostOp.Kind.TIMES_GATE));
    return position < 0 || !accumulate ? position : position + 1;
  }

  private long attributes(Handles owner) {
    Dnnl dnnl = Library.dnnl();
    DnnlBindings b = dnnl.bindings();
    long attributes =
        owner.own(
            dnnl.create("dnnl_primitive_attr_create", b.primitiveAttrCreate()),
            "dnnl_primitive_attr_destroy",
            b.primitiveAttrDestroy());
    dnnl.call(
        "dnnl_primitive_attr_set_scratchpad_mode",
        b.primitiveAttrSetScratchpadMode(),
        attributes,
        USER_SCRATCHPAD);
    dnnl.call(
        "dnnl_primitive_attr_set_post_ops",
        b.primitiveAttrSetPostOps(),
        attributes,
        postOps(owner));
    return attributes;
  }

  private long postOps(Handles owner) {
    Dnnl dnnl = Library.dnnl();
    DnnlBindings b = dnnl.bindings();
    long list =
        owner.own(
            dnnl.create("dnnl_post_ops_create", b.postOpsCreate()),
            "dnnl_post_ops_destroy",
            b.postOpsDestroy());
    if (accumulate) {
      dnnl.call("dnnl_post_ops_append_sum", b.postOpsAppendSum(), list, 1f, 0, 0);
    }
    for (PostOp op : postOps) {
      if (op.kind() == PostOp.Kind.TIMES_GATE) {
        dnnl.call(
            "dnnl_post_ops_append_binary",
            b.postOpsAppendBinary(),
            list,
            op.kind().code(),
            gate(owner));
      } else {
        dnnl.call(
            "dnnl_post_ops_append_eltwise",
            b.postOpsAppendEltwise(),
            list,
            op.kind().code(),
            op.alpha(),
            op.beta());
      }
    }
    return list;
  }
}
