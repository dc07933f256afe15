package org.sparkmoe.udfs.combine;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Iterator;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.sparkmoe.kernels.combine.Unreduced;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenPermutation;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.executor.TaskScope;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.tokens.BatchedRows;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * Finalize, the receiving half of expert parallelism. Needs partial rows sorted by token id; weighs
 * and sums the slots of a token in slot order, whatever lane they come from, then adds the shared
 * expert and the output bias.
 *
 * <p>Every slot of a token must arrive exactly once; anything else fails the task.
 */
public final class CombineFunction implements MapPartitionsFunction<Row, Row> {
  private static final long serialVersionUID = 1;

  private final LayerPlan plan;

  public CombineFunction(LayerPlan plan) {
    this.plan = plan;
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    TaskScope scope = TaskScope.current();
    return new Outputs(plan, scope.layer(plan), rows, scope.arena());
  }

  private static final class Outputs extends BatchedRows {
    private final LayerPlan plan;
    private final MoeLayerSpec spec;
    private final PreparedLayer layer;
    private final Iterator<Row> rows;
    private final int capacity;
    private final MemorySegment partials;
    private final MemorySegment shared;
    private final MemorySegment out;
    private final float[] weights;
    private final boolean[] arrived;
    private final long[] tokenIds;
    private final Object[] kept;
    private Row ahead;

    private Outputs(LayerPlan plan, PreparedLayer layer, Iterator<Row> rows, Arena arena) {
      this.plan = plan;
      this.spec = plan.spec();
      this.layer = layer;
      this.rows = rows;
      this.capacity = plan.batchTokens();
      long vector = DType.F32.bytes((long) capacity * spec.hidden());
      this.partials = arena.allocate(vector * spec.topK(), 64);
      this.shared = spec.shared().isPresent() ? arena.allocate(vector, 64) : null;
      this.out = arena.allocate(vector, 64);
      this.weights = new float[capacity * spec.topK()];
      this.arrived = new boolean[capacity * spec.topK()];
      this.tokenIds = new long[capacity];
      this.kept = new Object[capacity];
      this.ahead = rows.hasNext() ? rows.next() : null;
    }

    @Override
    protected int fill() {
      if (ahead == null) {
        return -1;
      }
      Arrays.fill(arrived, false);
      int tokens = 0;
      while (tokens < capacity && ahead != null) {
        gather(tokens++);
      }
      finish(tokens);
      return tokens;
    }

    /** Takes all rows of the next token. */
    private void gather(int token) {
      long tokenId = ahead.getLong(PartialRow.TOKEN_ID);
      tokenIds[token] = tokenId;
      kept[token] = null;
      boolean home = shared == null;
      while (ahead != null && ahead.getLong(PartialRow.TOKEN_ID) == tokenId) {
        takeSlots(token, tokenId);
        if (shared != null && !ahead.isNullAt(PartialRow.SHARED)) {
          copyVector(ahead.getAs(PartialRow.SHARED), 0, shared, token);
          home = true;
        }
        if (plan.tokens().keeps() && !ahead.isNullAt(PartialRow.KEPT)) {
          kept[token] = ahead.get(PartialRow.KEPT);
        }
        ahead = rows.hasNext() ? rows.next() : null;
      }
      requireAll(token, tokenId, home);
    }

    private void requireAll(int token, long tokenId, boolean home) {
      for (int slot = 0; slot < spec.topK(); slot++) {
        if (!arrived[token * spec.topK() + slot]) {
          throw new IllegalStateException(
              "token %d: slot %d did not arrive; a part of the dispatch is lost"
                  .formatted(tokenId, slot));
        }
      }
      if (!home) {
        throw new IllegalStateException(
            "token %d: the output of the shared expert did not arrive; a part of the dispatch is lost"
                .formatted(tokenId));
      }
    }

    private void takeSlots(int token, long tokenId) {
      int[] slots = Vectors.ints(ahead.getAs(PartialRow.SLOTS));
      float[] slotWeights = Vectors.floats(ahead.getAs(PartialRow.WEIGHTS));
      byte[] partial = ahead.getAs(PartialRow.PARTIAL);
      for (int i = 0; i < slots.length; i++) {
        if (slots[i] < 0 || slots[i] >= spec.topK()) {
          throw new IllegalStateException(
              "token %d: slot %d arrived, the layer has slots 0 to %d"
                  .formatted(tokenId, slots[i], spec.topK() - 1));
        }
        int assignment = token * spec.topK() + slots[i];
        if (arrived[assignment]) {
          throw new IllegalStateException(
              "token %d: slot %d arrived twice; is its id unique?".formatted(tokenId, slots[i]));
        }
        arrived[assignment] = true;
        weights[assignment] = slotWeights[i];
        copyVector(partial, i, partials, assignment);
      }
    }

    private void copyVector(byte[] source, int from, MemorySegment target, int to) {
      long bytes = DType.F32.bytes(spec.hidden());
      MemorySegment.copy(
          MemorySegment.ofArray(source),
          ValueLayout.JAVA_BYTE,
          from * bytes,
          target,
          ValueLayout.JAVA_BYTE,
          to * bytes,
          bytes);
    }

    private void finish(int tokens) {
      int assignments = tokens * spec.topK();
      // Which expert made a row no longer matters: expert 0 stands for all, and every row is here.
      TokenRoutes routes =
          TokenRoutes.uniform(
              tokens, spec.topK(), new int[assignments], Arrays.copyOf(weights, assignments));
      TokenPermutation permutation = TokenPermutation.of(routes, ExpertMap.all(1));
      WeightAndReduce.CONTIGUOUS.apply(new Unreduced(partials, spec.hidden(), permutation, 0), out);
      layer.finish(tokens, shared, out);
    }

    @Override
    protected Row row(int index) {
      byte[] output =
          Vectors.encode(out, (long) index * spec.hidden(), spec.hidden(), plan.outputDtype());
      return plan.tokens().keeps()
          ? RowFactory.create(tokenIds[index], output, null, kept[index])
          : RowFactory.create(tokenIds[index], output, null);
    }
  }
}
