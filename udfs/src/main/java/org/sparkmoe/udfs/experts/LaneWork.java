package org.sparkmoe.udfs.experts;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.sparkmoe.kernels.experts.DispatchedTokens;
import org.sparkmoe.kernels.experts.ExpertLoad;
import org.sparkmoe.kernels.experts.FusedExperts;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.udfs.dispatch.DispatchBlock;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.tokens.Vectors;

/** One batch of a lane, from its blocks to its partial rows; takes one batch after another. */
final class LaneWork implements AutoCloseable {
  private final LayerPlan plan;
  private final MoeLayerSpec spec;
  private final ExpertMap map;
  private final LaneBuffers buffers;
  private LaneBatch batch;
  private int blockIndex;
  private int homeInBlock;
  private int home;

  LaneWork(LayerPlan plan, ExpertMap map) {
    this.plan = plan;
    this.spec = plan.spec();
    this.map = map;
    this.buffers = new LaneBuffers(spec);
  }

  /** Takes {@code blocks}, at least one, and puts their vectors side by side. */
  void read(List<DispatchBlock> blocks) {
    batch = LaneBatch.join(blocks, map);
    buffers.reserve(batch.tokens(), batch.partials());
    blockIndex = 0;
    homeInBlock = 0;
    home = 0;
    long vector = DType.F32.bytes(spec.hidden());
    for (int b = 0; b < blocks.size(); b++) {
      DispatchBlock block = blocks.get(b);
      decode(block, buffers.x().asSlice(batch.firstToken()[b] * vector, block.tokens() * vector));
    }
    spread(vector);
  }

  private void decode(DispatchBlock block, MemorySegment x) {
    MemorySegment codes = MemorySegment.ofArray(block.codes());
    ActivationCodec codec = plan.codecs().input();
    if (codec.isIdentity()) {
      new Activations(codes, plan.dispatchedType())
          .convert(Activations.f32(x), (long) block.tokens() * spec.hidden());
    } else {
      MemorySegment scales = MemorySegment.ofArray(block.scales());
      codec.decode(block.tokens(), spec.hidden(), codes, scales, x);
    }
  }

  /** From a vector for each token to one for each partial, whose rows come no earlier. */
  private void spread(long vector) {
    for (int token = batch.tokens() - 1; token >= 0; token--) {
      for (int row = batch.firstPartial()[token + 1] - 1;
          row >= batch.firstPartial()[token];
          row--) {
        if (row != token) {
          MemorySegment.copy(buffers.x(), token * vector, buffers.x(), row * vector, vector);
        }
      }
    }
  }

  /** Workspace of {@link #compute} for the batch. */
  long workspaceBytes(FusedExperts experts, PreparedLayer layer, Team team) {
    ExpertLoad load =
        new ExpertLoad(batch.routes().assignments(), spec.hidden(), spec.intermediate());
    return Math.max(
        experts.workspaceBytes(load), layer.sharedExpertWorkspaceBytes(batch.tokens(), team));
  }

  /** Runs the lane's experts, and the shared one for the tokens at home here. */
  void compute(FusedExperts experts, PreparedLayer layer, Team team, Workspace workspace) {
    experts.apply(
        new DispatchedTokens.Standard(batch.routes(), spec.hidden(), buffers.x()),
        map,
        layer,
        workspace,
        buffers.y());
    if (spec.shared().isPresent()) {
      int homes = gatherHome();
      if (plan.sharedTakesCodes()) {
        layer.quantizedSharedExpert(homes, buffers.homeX(), buffers.homeY(), workspace, team);
      } else {
        layer.sharedExpert(homes, buffers.homeX(), buffers.homeY(), workspace, team);
      }
    }
  }

  /** Puts the vectors of the tokens at home here side by side and counts them. */
  private int gatherHome() {
    long vector = DType.F32.bytes(spec.hidden());
    int count = 0;
    for (int b = 0; b < batch.blocks().size(); b++) {
      DispatchBlock block = batch.blocks().get(b);
      boolean sent = block.homeHiddenOrNull() != null;
      MemorySegment source = sent ? MemorySegment.ofArray(block.homeHiddenOrNull()) : buffers.x();
      int inBlock = 0;
      for (int t = 0; t < block.tokens(); t++) {
        if (block.home()[t] != 0) {
          long from = sent ? inBlock : batch.firstPartial()[batch.firstToken()[b] + t];
          MemorySegment.copy(source, from * vector, buffers.homeX(), count * vector, vector);
          inBlock++;
          count++;
        }
      }
    }
    return count;
  }

  /** Rows that leave: one per token. */
  int rows() {
    return batch.tokens();
  }

  /** Rows are asked for in order, so block and home token are found by counting along. */
  Row row(int token) {
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
    int row = batch.firstPartial()[token];
    int partials = batch.firstPartial()[token + 1] - row;
    columns[1] = Vectors.encode(block.topkSlots(), first, slots);
    columns[2] = Vectors.encode(firstExperts(row, partials), 0, partials);
    columns[3] = vectors(buffers.y(), row, partials);
    if (block.home()[inBlock] != 0) {
      if (spec.shared().isPresent()) {
        columns[4] = vectors(buffers.homeY(), home, 1);
      }
      if (plan.tokens().keeps()) {
        columns[5] = block.keptOrNull().get(homeInBlock);
      }
      homeInBlock++;
      home++;
    }
    return RowFactory.create(columns);
  }

  /** The lowest expert of each of these rows. */
  private int[] firstExperts(int row, int count) {
    int[] experts = new int[count];
    for (int i = 0; i < count; i++) {
      experts[i] = batch.routes().expertIds()[batch.routes().offsets()[row + i]];
    }
    return experts;
  }

  private byte[] vectors(MemorySegment source, int row, int count) {
    return Vectors.encode(source, (long) row * spec.hidden(), count * spec.hidden(), DType.F32);
  }

  @Override
  public void close() {
    buffers.close();
  }
}
