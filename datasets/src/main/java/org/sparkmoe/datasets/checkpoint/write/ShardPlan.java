package org.sparkmoe.datasets.checkpoint.write;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Spreads parts over files of at most some size, in order; a part that is larger has a file of its
 * own.
 */
final class ShardPlan {
  /** Below the limits of readers: 100 MB of header, some hundred thousand tensors. */
  private static final int MAX_ENTRIES = 200_000;

  private static final int ALIGNMENT = Long.BYTES;

  private ShardPlan() {}

  /**
   * A file.
   *
   * @param name such as {@code model-00001-of-00003.safetensors}
   */
  record Shard(String name, List<Part> parts) {

    List<Entry> entries() {
      return parts.stream().flatMap(part -> part.entries().stream()).toList();
    }
  }

  static List<Shard> of(List<Part> parts, long maxBytes) {
    List<List<Part>> files = new ArrayList<>();
    long bytes = 0;
    long entries = 0;
    for (Part part : parts) {
      boolean full =
          bytes + part.bytes() > maxBytes || entries + part.entries().size() > MAX_ENTRIES;
      if (files.isEmpty() || (full && entries > 0)) {
        files.add(new ArrayList<>());
        bytes = 0;
        entries = 0;
      }
      files.getLast().add(part);
      bytes += part.bytes();
      entries += part.entries().size();
    }
    List<Shard> shards = new ArrayList<>();
    for (List<Part> file : files) {
      // Odd sizes last, so that what follows the others stays aligned: readers that map files
      // view tensors in place.
      file.sort(Comparator.comparingInt(part -> -alignment(part)));
      shards.add(
          new Shard(
              "model-%05d-of-%05d.safetensors".formatted(shards.size() + 1, files.size()), file));
    }
    return shards;
  }

  private static int alignment(Part part) {
    return (int) Math.min(ALIGNMENT, Long.lowestOneBit(part.bytes() | ALIGNMENT));
  }
}
