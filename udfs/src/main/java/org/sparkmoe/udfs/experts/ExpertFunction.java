package org.sparkmoe.udfs.experts;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.sparkmoe.kernels.combine.WeightAndReduce;
import org.sparkmoe.kernels.experts.DispatchedTokens;
import org.sparkmoe.kernels.experts.ExpertLoad;
import org.sparkmoe.kernels.experts.FusedExperts;
import org.sparkmoe.kernels.experts.StandardExperts;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.udfs.dispatch.DispatchBlock;
import org.sparkmoe.udfs.executor.KernelTimes;
import org.sparkmoe.udfs.executor.TaskScope;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.tokens.BatchedRows;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * The experts of a lane over its blocks: several blocks are joined until the matrix products are
 * worth it, and each token leaves as one partial row. A row depends on its own token only, so
 * neither the order in which blocks arrive nor the way they are joined changes a bit.
 */
public final class ExpertFunction implements MapPartitionsFunction<Row, Row> {
  private static final long serialVersionUID = 1;

  private final LayerPlan plan;
  private final KernelTimes times;

  /** The experts of {@code plan}'s lanes; {@code times} is registered and told of every expert. */
  public ExpertFunction(LayerPlan plan, KernelTimes times) {
    this.plan = plan;
    this.times = times;
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    TaskScope scope = TaskScope.current();
    Partials partials =
        new Partials(
            plan, times, scope.layer(plan), scope.team(), rows, TaskContext.getPartitionId());
    scope.onCompletion(partials::closeBuffers);
    return partials;
  }

  private static final class Partials extends BatchedRows {
    private final LayerPlan plan;
    private final MoeLayerSpec spec;
    private final PreparedLayer layer;
    private final Team team;
    private final Iterator<Row> rows;
    private final ExpertMap map;
    private final int lane;
    private final FusedExperts experts;
    private Buffers buffers;
    private DispatchBlock ahead;
    private LaneBatch batch;
    private int blockIndex;
    private int homeInBlock;
    private int home;

    private Partials(
        LayerPlan plan,
        KernelTimes times,
        PreparedLayer layer,
        Team team,
        Iterator<Row> rows,
        int lane) {
      this.plan = plan;
      this.spec = plan.spec();
      this.layer = layer;
      this.team = team;
      this.rows = rows;
      this.lane = lane;
      this.map = plan.placement().map(lane);
      this.experts = new StandardExperts(layer.kernel(), WeightAndReduce.DELEGATE, times, team);
      advance();
    }

    @Override
    protected int fill() {
      if (ahead == null) {
        return -1;
      }
      List<DispatchBlock> blocks = new ArrayList<>();
      int tokens = 0;
      int assignments = 0;
      do {
        blocks.add(ahead);
        tokens += ahead.tokens();
        assignments += ahead.assignments();
        advance();
      } while (ahead != null
          && tokens + ahead.tokens() <= plan.batchTokens()
          && assignments + ahead.assignments() <= plan.batchTokens() * spec.topK());
      batch = LaneBatch.join(blocks, map);
      reserve(tokens, assignments);
      decode();
      experts.apply(
          new DispatchedTokens.Standard(batch.routes(), spec.hidden(), buffers.x),
          map,
          layer,
          buffers.workspace,
          buffers.y);
      blockIndex = 0;
      homeInBlock = 0;
      home = 0;
      computeShared();
      return tokens;
    }

    private void advance() {
      ahead = rows.hasNext() ? DispatchBlock.of(rows.next()) : null;
      if (ahead == null) {
        return;
      }
      if (ahead.lane() != lane) {
        throw new IllegalStateException(
            "a block for lane %d arrived at lane %d".formatted(ahead.lane(), lane));
      }
      ahead.check(plan);
    }

    private void reserve(int tokens, int assignments) {
      if (buffers == null || buffers.tokens < tokens || buffers.assignments < assignments) {
        closeBuffers();
        buffers = new Buffers(tokens, assignments);
      }
    }

    private void closeBuffers() {
      if (buffers != null) {
        buffers.arena.close();
        buffers = null;
      }
    }

    private void decode() {
      long vector = DType.F32.bytes(spec.hidden());
      for (int b = 0; b < batch.blocks().size(); b++) {
        DispatchBlock block = batch.blocks().get(b);
        MemorySegment x =
            buffers.x.asSlice(batch.firstToken()[b] * vector, block.tokens() * vector);
        plan.codec()
            .decode(
                block.tokens(),
                spec.hidden(),
                MemorySegment.ofArray(block.codes()),
                MemorySegment.ofArray(block.scales()),
                x);
      }
    }

    /** The shared expert of the tokens at home here; its input stands densely in {@code homeX}. */
    private void computeShared() {
      if (spec.shared().isEmpty()) {
        return;
      }
      long vector = DType.F32.bytes(spec.hidden());
      int count = 0;
      for (int b = 0; b < batch.blocks().size(); b++) {
        DispatchBlock block = batch.blocks().get(b);
        int countInBlock = 0;
        for (int t = 0; t < block.tokens(); t++) {
          if (block.home()[t] == 0) {
            continue;
          }
          MemorySegment source =
              block.homeHiddenOrNull() == null
                  ? buffers.x.asSlice((batch.firstToken()[b] + t) * vector, vector)
                  : MemorySegment.ofArray(block.homeHiddenOrNull())
                      .asSlice(countInBlock * vector, vector);
          MemorySegment.copy(
              source,
              ValueLayout.JAVA_BYTE,
              0,
              buffers.homeX,
              ValueLayout.JAVA_BYTE,
              count * vector,
              vector);
          countInBlock++;
          count++;
        }
      }
      layer.sharedExpert(count, buffers.homeX, buffers.homeY, buffers.workspace, team);
    }

    /** Rows are asked for in order, so block and home token are found by counting along. */
    @Override
    protected Row row(int token) {
      while (token == batch.firstToken()[blockIndex + 1]) {
        blockIndex++;
        homeInBlock = 0;
      }
      DispatchBlock block = batch.blocks().get(blockIndex);
      int inBlock = token - batch.firstToken()[blockIndex];
      int first = block.slotOffsets()[inBlock];
      int slots = block.slotOffsets()[inBlock + 1] - first;
      Object[] columns = new Object[plan.tokens().keeps() ? 6 : 5];
      columns[0] = block.tokenIds()[inBlock];
      columns[1] = Vectors.encode(block.topkSlots(), first, slots);
      columns[2] = Vectors.encode(block.topkWeights(), first, slots);
      columns[3] = vectors(buffers.y, batch.routes().offsets()[token], slots);
      if (block.home()[inBlock] != 0) {
        if (spec.shared().isPresent()) {
          columns[4] = vectors(buffers.homeY, home, 1);
        }
        if (plan.tokens().keeps()) {
          columns[5] = block.keptOrNull().get(homeInBlock);
        }
        homeInBlock++;
        home++;
      }
      return RowFactory.create(columns);
    }

    private byte[] vectors(MemorySegment source, int row, int count) {
      return Vectors.encode(source, (long) row * spec.hidden(), count * spec.hidden(), DType.F32);
    }

    /** Memory for one batch; replaced when a larger batch comes. */
    private final class Buffers {
      private final Arena arena = Arena.ofShared();
      private final int tokens;
      private final int assignments;
      private final MemorySegment x;
      private final MemorySegment y;
      private final MemorySegment homeX;
      private final MemorySegment homeY;
      private final Workspace workspace;

      private Buffers(int tokens, int assignments) {
        this.tokens = tokens;
        this.assignments = assignments;
        long vector = DType.F32.bytes(spec.hidden());
        this.x = arena.allocate(tokens * vector, 64);
        this.y = arena.allocate(assignments * vector, 64);
        long homeBytes = spec.shared().isPresent() ? tokens * vector : 0;
        this.homeX = arena.allocate(homeBytes, 64);
        this.homeY = arena.allocate(homeBytes, 64);
        ExpertLoad load = new ExpertLoad(assignments, spec.hidden(), spec.intermediate());
        this.workspace =
            layer
                .kernel()
                .workspace(
                    Math.max(
                        experts.workspaceBytes(load),
                        layer.sharedExpertWorkspaceBytes(tokens, team)),
                    arena);
      }
    }
  }
}
