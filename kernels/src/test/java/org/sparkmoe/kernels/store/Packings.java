package org.sparkmoe.kernels.store;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.IntConsumer;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.experts.PreparedExpert;
import org.sparkmoe.kernels.experts.ScalarExpertKernel;
import org.sparkmoe.kernels.tensor.Matrix;

/** Packs experts of {@link #BYTES} bytes whose first weight is their id, and keeps a record. */
final class Packings implements ExpertPacker {
  /** Three projections of 1 × 1 f32. */
  static final long BYTES = 12;

  private final ScalarExpertKernel kernel = new ScalarExpertKernel();
  private final List<Integer> ids = Collections.synchronizedList(new ArrayList<>());
  private final IntConsumer before;

  Packings() {
    this(id -> {});
  }

  /** {@code before} runs first in every packing, with the expert's id. */
  Packings(IntConsumer before) {
    this.before = before;
  }

  /** Experts packed so far, in the order in which packing began. */
  List<Integer> ids() {
    return List.copyOf(ids);
  }

  @Override
  public PreparedExpert pack(int id, Room room) {
    before.accept(id);
    ids.add(id);
    Matrix one = Matrix.of(1, 1, id);
    return kernel.prepare(ExpertWeights.gated(one, one, one), Activation.SILU, room.reserve(BYTES));
  }
}
