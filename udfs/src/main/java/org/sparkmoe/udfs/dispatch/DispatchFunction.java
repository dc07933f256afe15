package org.sparkmoe.udfs.dispatch;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.util.LongAccumulator;
import org.sparkmoe.kernels.combine.InputWeight;
import org.sparkmoe.kernels.combine.LanePartials;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.executor.TaskScope;
import org.sparkmoe.udfs.gating.GatedBatch;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.plan.Reduction;
import org.sparkmoe.udfs.tokens.BatchedRows;

/**
 * Prepare, the sending half of expert parallelism: route, weigh the input where the family does,
 * encode once, pack per lane.
 *
 * <p>Rows that cannot be scored are left out here. Blocks hold tokens in input order, so a retried
 * task makes the same blocks.
 */
public final class DispatchFunction implements MapPartitionsFunction<Row, Row> {
  private static final long serialVersionUID = 1;

  private final LayerPlan plan;
  private final LongAccumulator sent;

  /**
   * Dispatch to {@code plan}'s lanes.
   *
   * @param sent registered, and told of every token as often as it is sent: once to each lane that
   *     has experts for it
   */
  public DispatchFunction(LayerPlan plan, LongAccumulator sent) {
    this.plan = plan;
    this.sent = sent;
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    TaskScope scope = TaskScope.current();
    GatedBatch batch = GatedBatch.over(rows, plan, plan.dispatchedType(), scope.layer(plan), scope);
    return new Blocks(plan, batch, sent, scope.arena());
  }

  private static final class Blocks extends BatchedRows {
    private final LayerPlan plan;
    private final MoeLayerSpec spec;
    private final ExpertPlacement placement;
    private final GatedBatch batch;
    private final LongAccumulator sent;
    private final BlockBuilder[] open;
    private final int[] laneOfSlot;
    private final LanePartials partials;
    private final List<Row> closed = new ArrayList<>();
    private final MemorySegment encoded;
    private final MemorySegment scales;
    private final MemorySegment weighted;
    private final boolean sendsHomeHidden;
    private MemorySegment codes;
    private int token;

    private Blocks(LayerPlan plan, GatedBatch batch, LongAccumulator sent, Arena arena) {
      this.plan = plan;
      this.spec = plan.spec();
      this.placement = plan.placement();
      this.batch = batch;
      this.sent = sent;
      this.open = new BlockBuilder[placement.lanes()];
      this.laneOfSlot = new int[spec.topK()];
      this.partials = new LanePartials(spec.topK());
      for (int lane = 0; lane < open.length; lane++) {
        open[lane] = new BlockBuilder(lane, plan.tokens().keeps());
      }
      int capacity = plan.batchTokens();
      int hidden = spec.hidden();
      boolean weighsInput = spec.routing().weightOnInput();
      this.encoded =
          travelsAsIs() ? MemorySegment.NULL : arena.allocate(capacity * plan.codeBytes(), 64);
      this.scales =
          arena.allocate(capacity * plan.codecs().input().scheme().scaleBytes(hidden), 64);
      this.weighted =
          weighsInput ? arena.allocate(DType.F32.bytes((long) capacity * hidden), 64) : null;
      this.sendsHomeHidden = plan.sendsHomeHidden();
    }

    /** Blocks leave as they are closed: besides the open ones, no more than k are held. */
    @Override
    protected int fill() {
      closed.clear();
      while (closed.isEmpty()) {
        if (token < batch.tokens()) {
          pack(token++);
        } else if (batch.read()) {
          encode();
          token = 0;
        } else {
          closeNext();
          return closed.isEmpty() ? -1 : closed.size();
        }
      }
      return closed.size();
    }

    /** Closes the first open block that holds anything, after the last token. */
    private void closeNext() {
      for (int lane = 0; lane < open.length && closed.isEmpty(); lane++) {
        if (!open[lane].isEmpty()) {
          closed.add(open[lane].finish());
        }
      }
    }

    @Override
    protected Row row(int index) {
      return closed.get(index);
    }

    private void encode() {
      MemorySegment input = batch.rows().hidden();
      if (weighted != null) {
        InputWeight.apply(batch.tokens(), spec.hidden(), input, batch.topkWeights(), weighted);
        input = weighted;
      }
      if (travelsAsIs()) {
        codes = input;
      } else {
        plan.codecs().input().encode(batch.tokens(), spec.hidden(), input, encoded, scales);
        codes = encoded;
      }
    }

    /** Whether the codes of a token are its values. */
    private boolean travelsAsIs() {
      return plan.codecs().input().isIdentity();
    }

    /** Adds the token to the block of each lane that computes one of its experts. */
    private void pack(int token) {
      int first = token * spec.topK();
      long id = batch.rows().id(token);
      for (int slot = 0; slot < laneOfSlot.length; slot++) {
        laneOfSlot[slot] = placement.laneOf(batch.topkIds()[first + slot], id);
      }
      partials.take(batch.topkIds(), first, laneOfSlot);
      for (int slot = 0; slot < laneOfSlot.length; slot++) {
        int lane = laneOfSlot[slot];
        if (firstSlotOf(lane) == slot) {
          packFor(lane, token, first, slot == 0);
        }
      }
    }

    private int firstSlotOf(int lane) {
      int slot = 0;
      while (laneOfSlot[slot] != lane) {
        slot++;
      }
      return slot;
    }

    /** The lane of slot 0 is the token's home. */
    private void packFor(int lane, int token, int first, boolean atHome) {
      BlockBuilder builder = open[lane];
      sent.add(1L);
      builder.token(batch.rows().id(token), tokenCodes(token), tokenScales(token));
      boolean onlyOne = plan.reduction() == Reduction.LANE_ORDER;
      boolean begun = false;
      for (int i = 0; i < laneOfSlot.length; i++) {
        int slot = partials.slot(i);
        if (laneOfSlot[slot] == lane) {
          float weight = weighted == null ? batch.topkWeights()[first + slot] : 1;
          boolean starts = onlyOne ? !begun : partials.starts(i);
          builder.slot(slot, batch.topkIds()[first + slot], weight, starts);
          begun = true;
        }
      }
      if (atHome) {
        builder.endHome(homeHidden(token), batch.rows().kept(batch.rows().row(token)));
      } else {
        builder.endAway();
      }
      if (builder.isFull(plan)) {
        closed.add(builder.finish());
      }
    }

    private MemorySegment tokenCodes(int token) {
      long bytes = plan.codeBytes();
      return codes.asSlice(token * bytes, bytes);
    }

    private MemorySegment tokenScales(int token) {
      long bytes = plan.codecs().input().scheme().scaleBytes(spec.hidden());
      return scales.asSlice(token * bytes, bytes);
    }

    private MemorySegment homeHidden(int token) {
      long bytes = sendsHomeHidden ? DType.F32.bytes(spec.hidden()) : 0;
      return batch.rows().hidden().asSlice(token * bytes, bytes);
    }
  }
}
