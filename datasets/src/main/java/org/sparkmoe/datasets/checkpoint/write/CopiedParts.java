package org.sparkmoe.datasets.checkpoint.write;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.TensorRef;
import org.sparkmoe.datasets.safetensors.Quoted;

/** Tensors that stay as they are, bit for bit. */
final class CopiedParts {
  /** Bytes read at once. */
  private static final int CHUNK = 4 << 20;

  private final FileSystem files;
  private final Path folder;

  CopiedParts(FileSystem files, Path folder) {
    this.files = files;
    this.folder = folder;
  }

  Part part(TensorRef tensor) {
    List<Part.Chunk> chunks = new ArrayList<>();
    for (long at = tensor.begin(); at < tensor.end(); at += CHUNK) {
      long first = at;
      int count = (int) Math.min(CHUNK, tensor.end() - at);
      chunks.add(memory -> new Part.Made(List.of(read(tensor, first, count)), List.of()));
    }
    return new Part(List.of(new Entry(tensor.name(), tensor.dtype(), tensor.shape())), chunks);
  }

  private MemorySegment read(TensorRef tensor, long first, int count) {
    Path file = new Path(folder, tensor.shard());
    byte[] bytes = new byte[count];
    try (FSDataInputStream in = files.open(file)) {
      in.readFully(first, bytes);
    } catch (IOException e) {
      throw new InputException(
          "tensor %s of %s cannot be read (%s); leave the checkpoint unchanged and run again"
              .formatted(
                  Quoted.of(tensor.name()),
                  Quoted.of(file.toString()),
                  Quoted.of(String.valueOf(e.getMessage()))),
          e);
    }
    return MemorySegment.ofArray(bytes);
  }
}
