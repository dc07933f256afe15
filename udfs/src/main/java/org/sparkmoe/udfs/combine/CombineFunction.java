package org.sparkmoe.udfs.combine;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Iterator;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.sparkmoe.kernels.combine.TokenSum;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.executor.TaskScope;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.tokens.BatchedRows;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * Finalize, the receiving half of expert parallelism. Needs partial rows sorted by token id; sums
 * the partials of a token, whatever lane they come from, in the order of {@link
 * org.sparkmoe.kernels.combine.ExpertTree}; then adds the shared expert and the output bias.
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
    private final TokenSum sum;
    private final MemorySegment sharedOrNull;
    private final MemorySegment out;

    /** By slot, whether it arrived. */
    private final boolean[] arrived;

    private Row ahead;
    private long tokenId;
    private Object kept;

    private Outputs(LayerPlan plan, PreparedLayer layer, Iterator<Row> rows, Arena arena) {
      this.plan = plan;
      this.layer = layer;
      this.rows = rows;
      this.hidden = plan.spec().hidden();
      this.sum = new TokenSum(hidden);
      long vector = DType.F32.bytes(hidden);
      this.sharedOrNull = plan.spec().shared().isPresent() ? arena.allocate(vector, 64) : null;
      this.out = arena.allocate(vector, 64);
      this.arrived = new boolean[plan.spec().topK()];
      this.ahead = rows.hasNext() ? rows.next() : null;
    }

    @Override
    protected int fill() {
      if (ahead == null) {
        return -1;
      }
      sum.clear();
      gather();
      sum.store(out, 0);
      layer.finish(1, sharedOrNull, out);
      return 1;
    }

    /** Takes all rows of the next token. */
    private void gather() {
      tokenId = ahead.getLong(PartialRow.TOKEN_ID);
      kept = null;
      Arrays.fill(arrived, false);
      boolean home = sharedOrNull == null;
      while (ahead != null && ahead.getLong(PartialRow.TOKEN_ID) == tokenId) {
        takeSlots();
        takePartials();
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
      for (int slot = 0; slot < arrived.length; slot++) {
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
      for (int i = 0; i < slots.length / Integer.BYTES; i++) {
        int slot = Vectors.intAt(slots, i);
        if (slot < 0 || slot >= arrived.length) {
          throw new IllegalStateException(
              "token %d: slot %d arrived, the layer has slots 0 to %d"
                  .formatted(tokenId, slot, arrived.length - 1));
        }
        if (arrived[slot]) {
          throw new IllegalStateException(
              "token %d: slot %d arrived twice; is its id unique?".formatted(tokenId, slot));
        }
        arrived[slot] = true;
      }
    }

    private void takePartials() {
      byte[] experts = ahead.getAs(PartialRow.EXPERTS);
      byte[] vectors = ahead.getAs(PartialRow.PARTIALS);
      int partials = experts.length / Integer.BYTES;
      if (partials == 0 || vectors.length != partials * DType.F32.bytes(hidden)) {
        throw new IllegalStateException(
            "token %d: %d bytes of partials arrived for %d experts; a part of the dispatch is lost"
                .formatted(tokenId, vectors.length, partials));
      }
      MemorySegment sums = MemorySegment.ofArray(vectors);
      for (int i = 0; i < partials; i++) {
        sum.add(Vectors.intAt(experts, i), 1, sums, i);
      }
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
