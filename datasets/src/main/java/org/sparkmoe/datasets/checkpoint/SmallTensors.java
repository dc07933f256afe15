package org.sparkmoe.datasets.checkpoint;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.FSDataInputStream;

/**
 * Reads scalars of a checkpoint on the driver. There can be hundreds in a layer, and each read of a
 * remote file takes a round trip, so neighbours are read together.
 */
final class SmallTensors {
  /** Bytes between two scalars that are rather read than skipped. */
  private static final long GAP = 64 << 10;

  /** Bytes read at once, at most. */
  private static final long MOST = 4 << 20;

  private final CheckpointFolder folder;

  SmallTensors(CheckpointFolder folder) {
    this.folder = folder;
  }

  /** The first element of each tensor, by name. */
  Map<String, Float> scalars(List<TensorRef> tensors) {
    Map<String, Float> values = new HashMap<>();
    read(tensors, Long.MAX_VALUE)
        .forEach(
            (tensor, data) ->
                values.put(
                    tensor.name(),
                    tensor.dtype().kernelType().orElseThrow().get(MemorySegment.ofArray(data), 0)));
    return values;
  }

  /** The first bytes of a tensor, {@code most} of them or all. */
  byte[] first(TensorRef tensor, int most) {
    return read(List.of(tensor), most).get(tensor);
  }

  private Map<TensorRef, byte[]> read(List<TensorRef> tensors, long most) {
    List<TensorRef> inOrder = new ArrayList<>(tensors);
    inOrder.sort(Comparator.comparing(TensorRef::shard).thenComparingLong(TensorRef::begin));
    Map<TensorRef, byte[]> data = new HashMap<>();
    for (int from = 0; from < inOrder.size(); ) {
      TensorRef first = inOrder.get(from);
      long end = first.begin() + Math.min(most, first.bytes());
      int to = from + 1;
      while (to < inOrder.size() && joins(first, end, inOrder.get(to))) {
        end = Math.max(end, inOrder.get(to).end());
        to++;
      }
      byte[] bytes = new byte[Math.toIntExact(end - first.begin())];
      readFully(first.shard(), first.begin(), bytes);
      for (TensorRef tensor : inOrder.subList(from, to)) {
        int start = (int) (tensor.begin() - first.begin());
        int stop = (int) Math.min(bytes.length, start + tensor.bytes());
        data.put(tensor, Arrays.copyOfRange(bytes, start, stop));
      }
      from = to;
    }
    return data;
  }

  private static boolean joins(TensorRef first, long end, TensorRef next) {
    return next.shard().equals(first.shard())
        && next.begin() - end <= GAP
        && next.end() - first.begin() <= MOST;
  }

  private void readFully(String shard, long position, byte[] bytes) {
    try (FSDataInputStream in = folder.open(shard)) {
      in.readFully(position, bytes);
    } catch (IOException e) {
      throw CheckpointFolder.unreadable(folder.uri() + "/" + shard, e);
    }
  }
}
