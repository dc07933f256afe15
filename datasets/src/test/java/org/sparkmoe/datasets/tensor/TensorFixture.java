package org.sparkmoe.datasets.tensor;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** Writes safetensors files of activations; public because tests of token tables write them too. */
public final class TensorFixture {
  private TensorFixture() {}

  /** One tensor of a file. */
  public record Tensor(String name, String dtype, long[] shape, byte[] data) {}

  /** A tensor whose bytes tell where they are. */
  public static Tensor counting(String name, String dtype, int elementBytes, long... shape) {
    long elements = Arrays.stream(shape).reduce(1, Math::multiplyExact);
    byte[] data = new byte[Math.toIntExact(elements * elementBytes)];
    for (int i = 0; i < data.length; i++) {
      data[i] = (byte) (i * 7L + i / 256);
    }
    return new Tensor(name, dtype, shape, data);
  }

  /** Writes {@code tensors} one after another. */
  public static void write(Path file, Tensor... tensors) {
    StringBuilder json = new StringBuilder("{");
    long offset = 0;
    for (Tensor tensor : tensors) {
      json.append(json.length() > 1 ? "," : "")
          .append(
              "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
                  .formatted(
                      tensor.name,
                      tensor.dtype,
                      Arrays.toString(tensor.shape),
                      offset,
                      offset + tensor.data.length));
      offset += tensor.data.length;
    }
    byte[] header = json.append('}').toString().getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes =
        ByteBuffer.allocate(8 + header.length + Math.toIntExact(offset))
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(header.length)
            .put(header);
    for (Tensor tensor : tensors) {
      bytes.put(tensor.data);
    }
    try {
      Files.write(file, bytes.array());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
