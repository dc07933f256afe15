package org.sparkmoe.udfs.experts;

import java.util.List;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.udfs.dispatch.DispatchBlock;

/**
 * Blocks of one lane that are computed together, tokens and assignments numbered through.
 *
 * @param blocks in order of arrival
 * @param firstToken blocks + 1: block b owns tokens firstToken[b] to firstToken[b + 1] − 1
 * @param routes of all their tokens
 */
record LaneBatch(List<DispatchBlock> blocks, int[] firstToken, TokenRoutes routes) {

  /**
   * Joins blocks.
   *
   * @throws IllegalStateException where a block holds an expert of another lane: its result would
   *     be lost
   */
  static LaneBatch join(List<DispatchBlock> blocks, ExpertMap map) {
    int[] firstToken = new int[blocks.size() + 1];
    int assignments = 0;
    for (int b = 0; b < blocks.size(); b++) {
      firstToken[b + 1] = firstToken[b] + blocks.get(b).tokens();
      assignments += blocks.get(b).assignments();
    }
    int tokens = firstToken[blocks.size()];
    int[] offsets = new int[tokens + 1];
    int[] expertIds = new int[assignments];
    float[] weights = new float[assignments];
    int token = 0;
    int from = 0;
    for (DispatchBlock block : blocks) {
      for (int t = 1; t <= block.tokens(); t++) {
        offsets[++token] = from + block.slotOffsets()[t];
      }
      System.arraycopy(block.expertIds(), 0, expertIds, from, block.assignments());
      System.arraycopy(block.topkWeights(), 0, weights, from, block.assignments());
      from += block.assignments();
    }
    for (int expert : expertIds) {
      if (map.local(expert) == ExpertMap.REMOTE) {
        throw new IllegalStateException(
            "expert %d was dispatched to lane %d, which does not own it"
                .formatted(expert, blocks.getFirst().lane()));
      }
    }
    return new LaneBatch(blocks, firstToken, new TokenRoutes(tokens, offsets, expertIds, weights));
  }

  int tokens() {
    return routes.tokens();
  }
}
