package org.sparkmoe.udfs.combine;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Iterator;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.sparkmoe.kernels.combine.SlotAccumulator;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.executor.TaskScope;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.tokens.BatchedRows;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * Finalize, the receiving half of expert parallelism. Needs partial rows sorted by token id; weighs
 * and sums the slots of a token in slot order, whatever lane they come from, or sums what lanes
 * have reduced; then adds the shared expert and the output bias.
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

  /** Token by token: the rows of one token are all that is held. */
  private static final class Outputs extends BatchedRows {
    private final LayerPlan plan;
    private final PreparedLayer layer;
    private final Iterator<Row> rows;
    private final int hidden;
    private final boolean reducedByLanes;
    private final SlotAccumulator sum;
    private final MemorySegment sharedOrNull;
    private final MemorySegment out;

    /** By slot: the vectors to add at its turn, null for none; its place there, its weight. */
    private final MemorySegment[] sources;

    /** By slot, whether it arrived. */
    private final boolean[] arrived;

    private final int[] indices;
    private final float[] weights;

    private Row ahead;
    private long tokenId;
    private Object kept;

    private Outputs(LayerPlan plan, PreparedLayer layer, Iterator<Row> rows, Arena arena) {
      this.plan = plan;
      this.layer = layer;
      this.rows = rows;
      this.hidden = plan.spec().hidden();
      this.reducedByLanes = plan.reduction().reducesInLanes();
      this.sum = new SlotAccumulator(hidden);
      long vector = DType.F32.bytes(hidden);
      this.sharedOrNull = plan.spec().shared().isPresent() ? arena.allocate(vector, 64) : null;
      this.out = arena.allocate(vector, 64);
      this.sources = new MemorySegment[plan.spec().topK()];
      this.arrived = new boolean[sources.length];
      this.indices = new int[sources.length];
      this.weights = new float[sources.length];
      this.ahead = rows.hasNext() ? rows.next() : null;
    }

    @Override
    protected int fill() {
      if (ahead == null) {
        return -1;
      }
      gather();
      sum.clear();
      for (int slot = 0; slot < sources.length; slot++) {
        if (sources[slot] != null) {
          sum.add(weights[slot], sources[slot], indices[slot]);
        }
      }
      sum.store(out, 0);
      layer.finish(1, sharedOrNull, out);
      return 1;
    }

    /** Takes all rows of the next token. */
    private void gather() {
      tokenId = ahead.getLong(PartialRow.TOKEN_ID);
      kept = null;
      Arrays.fill(sources, null);
      Arrays.fill(arrived, false);
      boolean home = sharedOrNull == null;
      while (ahead != null && ahead.getLong(PartialRow.TOKEN_ID) == tokenId) {
        takeSlots();
        if (sharedOrNull != null && !ahead.isNullAt(PartialRow.SHARED)) {
          byte[] output = ahead.getAs(PartialRow.SHARED);
          sharedOrNull.copyFrom(MemorySegment.ofArray(output));
          home = true;
        }
        if (plan.tokens().keeps() && !ahead.isNullAt(PartialRow.KEPT)) {
          kept = ahead.get(PartialRow.KEPT);
        }
        ahead = rows.hasNext() ? rows.next() : null;
      }
      requireAll(home);
    }

    private void requireAll(boolean home) {
      for (int slot = 0; slot < sources.length; slot++) {
        if (!arrived[slot]) {
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

    private void takeSlots() {
      byte[] slots = ahead.getAs(PartialRow.SLOTS);
      byte[] slotWeights = ahead.getAs(PartialRow.WEIGHTS);
      byte[] partial = ahead.getAs(PartialRow.PARTIAL);
      MemorySegment vectors = MemorySegment.ofArray(partial);
      for (int i = 0; i < slots.length / Integer.BYTES; i++) {
        int slot = Vectors.intAt(slots, i);
        if (slot < 0 || slot >= sources.length) {
          throw new IllegalStateException(
              "token %d: slot %d arrived, the layer has slots 0 to %d"
                  .formatted(tokenId, slot, sources.length - 1));
        }
        if (arrived[slot]) {
          throw new IllegalStateException(
              "token %d: slot %d arrived twice; is its id unique?".formatted(tokenId, slot));
        }
        arrived[slot] = true;
        if (!reducedByLanes) {
          take(slot, vectors, i, Vectors.floatAt(slotWeights, i));
        } else if (i == 0) {
          // a lane's slots ascend: its sum has its turn at the lowest
          take(slot, vectors, 0, 1);
        }
      }
    }

    private void take(int slot, MemorySegment vectors, int index, float weight) {
      sources[slot] = vectors;
      indices[slot] = index;
      weights[slot] = weight;
    }

    @Override
    protected Row row(int index) {
      byte[] output = Vectors.encode(out, 0, hidden, plan.outputDtype());
      return plan.tokens().keeps()
          ? RowFactory.create(tokenId, output, null, kept)
          : RowFactory.create(tokenId, output, null);
    }
  }
}
