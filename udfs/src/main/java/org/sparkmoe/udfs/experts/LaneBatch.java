package org.sparkmoe.udfs.experts;

import java.util.Arrays;
import java.util.List;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.udfs.dispatch.DispatchBlock;

/**
 * Blocks of one lane that are computed together. Experts are given a row for each partial of a
 * token, so that what they sum for a row is the partial.
 *
 * @param blocks in order of arrival
 * @param firstToken blocks + 1: block b owns tokens firstToken[b] to firstToken[b + 1] − 1
 * @param firstPartial tokens + 1: token t has the rows firstPartial[t] to firstPartial[t + 1] − 1
 * @param routes of the rows
 */
record LaneBatch(
    List<DispatchBlock> blocks, int[] firstToken, int[] firstPartial, TokenRoutes routes) {

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
    int[] firstPartial = new int[firstToken[blocks.size()] + 1];
    int[] offsets = new int[assignments + 1];
    int[] expertIds = new int[assignments];
    float[] weights = new float[assignments];
    int token = 0;
    int row = 0;
    int from = 0;
    for (DispatchBlock block : blocks) {
      for (int t = 0; t < block.tokens(); t++) {
        for (int a = block.slotOffsets()[t]; a < block.slotOffsets()[t + 1]; a++) {
          if (block.partialStarts()[a] != 0) {
            offsets[row++] = from + a;
          }
        }
        firstPartial[++token] = row;
      }
      System.arraycopy(block.expertIds(), 0, expertIds, from, block.assignments());
      System.arraycopy(block.topkWeights(), 0, weights, from, block.assignments());
      from += block.assignments();
    }
    offsets[row] = from;
    for (int expert : expertIds) {
      if (map.local(expert) == ExpertMap.REMOTE) {
        throw new IllegalStateException(
            "expert %d was dispatched to lane %d, which does not own it"
                .formatted(expert, blocks.getFirst().lane()));
      }
    }
    return new LaneBatch(
        blocks,
        firstToken,
        firstPartial,
        new TokenRoutes(row, Arrays.copyOf(offsets, row + 1), expertIds, weights));
  }

  int tokens() {
    return firstPartial.length - 1;
  }

  int partials() {
    return routes.tokens();
  }
}
