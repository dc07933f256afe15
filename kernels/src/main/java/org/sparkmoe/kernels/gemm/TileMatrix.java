package org.sparkmoe.kernels.gemm;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.onednn.WeightTiles;

/**
 * Tiles as {@link WeightTiles} cuts them, each in the order of oneDNN's kernels.
 *
 * @param data the elements
 * @param rows N, output features
 * @param cols K, input features
 * @param tilesOrNull where the tiles are; null for a matrix without elements
 */
public record TileMatrix(MemorySegment data, int rows, int cols, WeightTiles tilesOrNull)
    implements PackedMatrix {

  @Override
  public long bytes() {
    return data.byteSize();
  }
}
