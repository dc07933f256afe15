package org.sparkmoe.job.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;
import org.sparkmoe.kernels.tensor.Matrix;

/** Writes matrices as a safetensors file. */
final class SafetensorsWriter {
  private final Map<String, Matrix> tensors = new LinkedHashMap<>();

  SafetensorsWriter add(String name, Matrix matrix) {
    tensors.put(name, matrix);
    return this;
  }

  void write(Path file) {
    byte[] header = header().getBytes(StandardCharsets.UTF_8);
    try (FileChannel out =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      ByteBuffer length = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      writeFully(out, length.putLong(header.length).flip());
      writeFully(out, ByteBuffer.wrap(header));
      for (Matrix matrix : tensors.values()) {
        writeFully(out, matrix.data().asByteBuffer());
      }
    } catch (IOException e) {
      throw new UncheckedIOException("cannot write " + file, e);
    }
  }

  private String header() {
    long[] at = {0};
    return tensors.entrySet().stream()
        .map(
            entry -> {
              Matrix m = entry.getValue();
              long from = at[0];
              at[0] += m.bytes();
              return "\"%s\":{\"dtype\":\"%s\",\"shape\":[%d,%d],\"data_offsets\":[%d,%d]}"
                  .formatted(entry.getKey(), m.dtype(), m.rows(), m.cols(), from, at[0]);
            })
        .collect(Collectors.joining(",", "{", "}"));
  }

  private static void writeFully(FileChannel out, ByteBuffer data) throws IOException {
    while (data.hasRemaining()) {
      out.write(data);
    }
  }
}
