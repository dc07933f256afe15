package org.sparkmoe.udfs.experts;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.sql.Row;
import org.sparkmoe.udfs.dispatch.DispatchBlock;
import org.sparkmoe.udfs.plan.LayerPlan;

/** The blocks that arrive at a lane, checked, in groups that are computed together. */
final class LaneBlocks {
  private final Iterator<Row> rows;
  private final LayerPlan plan;
  private final int lane;
  private DispatchBlock aheadOrNull;

  LaneBlocks(Iterator<Row> rows, LayerPlan plan, int lane) {
    this.rows = rows;
    this.plan = plan;
    this.lane = lane;
    advance();
  }

  /** As many blocks as a batch has room for, at least one; empty when there are none left. */
  List<DispatchBlock> next() {
    List<DispatchBlock> blocks = new ArrayList<>();
    long tokens = 0;
    long partials = 0;
    long assignments = 0;
    while (aheadOrNull != null) {
      tokens += aheadOrNull.tokens();
      partials += aheadOrNull.partials();
      assignments += aheadOrNull.assignments();
      if (!blocks.isEmpty() && !plan.holds(tokens, partials, assignments)) {
        break;
      }
      blocks.add(aheadOrNull);
      advance();
    }
    return blocks;
  }

  private void advance() {
    aheadOrNull = rows.hasNext() ? DispatchBlock.of(rows.next()) : null;
    if (aheadOrNull == null) {
      return;
    }
    if (aheadOrNull.lane() != lane) {
      throw new IllegalStateException(
          "a block for lane %d arrived at lane %d".formatted(aheadOrNull.lane(), lane));
    }
    aheadOrNull.check(plan);
  }
}
