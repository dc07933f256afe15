package org.sparkmoe.datasets.checkpoint;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.sparkmoe.kernels.tensor.QuantFormat;

/** Which weights share a scale, and the shapes in which tensors with such scales are stored. */
final class ScaleGrid {
  private final boolean tensor;
  private final boolean channel;
  private final int blockRows;
  private final int blockCols;

  private ScaleGrid(boolean tensor, boolean channel, int blockRows, int blockCols) {
    this.tensor = tensor;
    this.channel = channel;
    this.blockRows = blockRows;
    this.blockCols = blockCols;
  }

  /** One scale for the tensor. */
  static ScaleGrid tensor() {
    return new ScaleGrid(true, false, 0, 0);
  }

  /** One scale for each output. */
  static ScaleGrid channel() {
    return new ScaleGrid(false, true, 0, 0);
  }

  /** One for the tensor or one for each output: the shape decides. */
  static ScaleGrid tensorOrChannel() {
    return new ScaleGrid(true, true, 0, 0);
  }

  /** One for each block; the last of a line may be cut off. */
  static ScaleGrid blocks(int rows, int cols) {
    return new ScaleGrid(false, false, rows, cols);
  }

  /** Whether there may be one scale for the tensor. */
  boolean isPerTensor() {
    return tensor;
  }

  /** Whether there may be one for each output. */
  boolean isPerChannel() {
    return channel;
  }

  /** Whether neighbouring rows share scales, but not all of them. */
  boolean isBlocksOfRows() {
    return blockRows > 1;
  }

  /**
   * The spans of a scale.
   *
   * @param rows neighbouring rows
   * @param cols neighbouring columns
   */
  record Span(int rows, int cols) {}

  /** The spans that a tensor of this shape has in a matrix, or empty if it has none. */
  Optional<Span> span(long[] shape, int rows, int cols) {
    if (tensor && contains(tensorShapes(), shape)) {
      return Optional.of(new Span(QuantFormat.ALL, QuantFormat.ALL));
    }
    if (channel && contains(channelShapes(rows), shape)) {
      return Optional.of(new Span(1, QuantFormat.ALL));
    }
    if (blockRows > 0 && contains(blockShapes(rows, cols), shape)) {
      return Optional.of(new Span(blockRows, blockCols));
    }
    return Optional.empty();
  }

  /** Every shape that is known for a matrix. */
  long[][] shapes(int rows, int cols) {
    List<long[]> shapes = new ArrayList<>();
    if (tensor) {
      shapes.addAll(tensorShapes());
    }
    if (channel) {
      shapes.addAll(channelShapes(rows));
    }
    if (blockRows > 0) {
      shapes.addAll(blockShapes(rows, cols));
    }
    return shapes.toArray(long[][]::new);
  }

  private static List<long[]> tensorShapes() {
    return List.of(new long[] {}, new long[] {1}, new long[] {1, 1});
  }

  private static List<long[]> channelShapes(long rows) {
    return List.of(new long[] {rows, 1}, new long[] {rows});
  }

  /** The second is how ModelOpt writes them. */
  private List<long[]> blockShapes(int rows, int cols) {
    long down = Math.ceilDiv(rows, blockRows);
    long across = Math.ceilDiv(cols, blockCols);
    return List.of(new long[] {down, across}, new long[] {down, 1, across, 1});
  }

  private static boolean contains(List<long[]> shapes, long[] shape) {
    return shapes.stream().anyMatch(known -> Arrays.equals(known, shape));
  }
}
