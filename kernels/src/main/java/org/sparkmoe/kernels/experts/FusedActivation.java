package org.sparkmoe.kernels.experts;

import java.util.ArrayList;
import java.util.List;
import org.sparkmoe.kernels.experts.Activation.Kind;
import org.sparkmoe.kernels.onednn.PostOp;

/**
 * An {@link Activation} as steps on the finished sums of the two projections. The gate's come
 * first; the up projection's end with the product of both, which is the intermediate.
 *
 * @param gate on sums of w1
 * @param up on sums of w3; empty where ungated
 */
record FusedActivation(List<PostOp> gate, List<PostOp> up) {

  /** The steps of {@code activation}; {@link #fuses} it. */
  static FusedActivation of(Activation activation) {
    List<PostOp> gate = new ArrayList<>();
    if (activation.kind() != Kind.SWIGLU_STEP) {
      clampAbove(activation, gate);
    }
    gate.addAll(formula(activation));
    if (activation.kind() == Kind.SWIGLU_STEP) {
      clampAbove(activation, gate);
    }
    return new FusedActivation(List.copyOf(gate), activation.gated() ? up(activation) : List.of());
  }

  /** Whether the activation is one of steps: not where its formula needs its input twice. */
  static boolean fuses(Activation activation) {
    return activation.kind() != Kind.SITU;
  }

  private static List<PostOp> formula(Activation activation) {
    return switch (activation.kind()) {
      case SILU, SILU_NO_MUL, SWIGLU_STEP -> List.of(new PostOp(PostOp.Kind.SWISH, 1, 0));
      case SWIGLU_OAI -> List.of(new PostOp(PostOp.Kind.SWISH, activation.alpha(), 0));
      case GELU, GELU_NO_MUL -> List.of(PostOp.of(PostOp.Kind.GELU_ERF));
      case RELU2_NO_MUL -> List.of(PostOp.of(PostOp.Kind.RELU), PostOp.of(PostOp.Kind.SQUARE));
      case GELU_TANH, GELU_TANH_NO_MUL -> List.of(PostOp.of(PostOp.Kind.GELU_TANH));
      case SITU -> throw new IllegalArgumentException("SITU is not one of steps");
    };
  }

  private static List<PostOp> up(Activation activation) {
    List<PostOp> up = new ArrayList<>();
    if (activation.limit() != Float.POSITIVE_INFINITY) {
      up.add(new PostOp(PostOp.Kind.CLIP, -activation.limit(), activation.limit()));
    }
    if (activation.kind() == Kind.SWIGLU_OAI) {
      up.add(new PostOp(PostOp.Kind.LINEAR, 1, activation.beta()));
    }
    up.add(PostOp.of(PostOp.Kind.TIMES_GATE));
    return List.copyOf(up);
  }

  private static void clampAbove(Activation activation, List<PostOp> steps) {
    if (activation.limit() != Float.POSITIVE_INFINITY) {
      steps.add(new PostOp(PostOp.Kind.CLIP, -Float.MAX_VALUE, activation.limit()));
    }
  }
}
