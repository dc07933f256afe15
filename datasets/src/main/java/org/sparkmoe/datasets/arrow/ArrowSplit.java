package org.sparkmoe.datasets.arrow;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.connector.read.InputPartition;

/** What one task reads: runs of record batches, each from one file. */
record ArrowSplit(List<Run> runs) implements InputPartition {

  /** Record batches of one file, which had {@code fileLength} bytes when it was indexed. */
  record Run(String path, long fileLength, List<BatchBlock> batches) implements Serializable {}

  /**
   * Deals out all batches in order. A split closes when it reaches {@code target} bytes, where
   * opening another file counts as {@code openCost}; a batch is never divided.
   */
  static List<ArrowSplit> plan(List<ArrowIndex> files, long target, long openCost) {
    List<ArrowSplit> splits = new ArrayList<>();
    List<Run> runs = new ArrayList<>();
    long bytes = 0;
    for (ArrowIndex file : files) {
      List<BatchBlock> batches = new ArrayList<>();
      for (BatchBlock batch : file.batches()) {
        long cost = batch.bytes() + (batches.isEmpty() ? openCost : 0);
        if (bytes > 0 && bytes + cost > target) {
          close(file, batches, runs);
          splits.add(new ArrowSplit(List.copyOf(runs)));
          runs.clear();
          batches.clear();
          bytes = openCost;
        } else if (batches.isEmpty()) {
          bytes += openCost;
        }
        batches.add(batch);
        bytes += batch.bytes();
      }
      close(file, batches, runs);
    }
    if (!runs.isEmpty()) {
      splits.add(new ArrowSplit(List.copyOf(runs)));
    }
    return splits;
  }

  private static void close(ArrowIndex file, List<BatchBlock> batches, List<Run> runs) {
    if (!batches.isEmpty()) {
      runs.add(new Run(file.path(), file.length(), List.copyOf(batches)));
    }
  }
}
