package org.sparkmoe.datasets.checkpoint;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.tensor.DType;

/** Writes small safetensors files for tests. Tensors appear in the order they were added. */
public final class SafetensorsWriter {
  private record Entry(SafetensorsDType dtype, long[] shape, byte[] data) {}

  private final Map<String, Entry> entries = new LinkedHashMap<>();

  /** Adds a tensor of raw bytes. */
  public SafetensorsWriter add(String name, SafetensorsDType dtype, byte[] data, long... shape) {
    entries.put(name, new Entry(dtype, shape.clone(), data.clone()));
    return this;
  }

  /** Adds a tensor of f32 values. */
  public SafetensorsWriter addFloats(String name, float[] values, long... shape) {
    return addFloats(name, DType.F32, values, shape);
  }

  /** Adds a tensor of values rounded to {@code dtype}. */
  public SafetensorsWriter addFloats(String name, DType dtype, float[] values, long... shape) {
    byte[] data = new byte[Math.toIntExact(dtype.bytes(values.length))];
    MemorySegment segment = MemorySegment.ofArray(data);
    for (int i = 0; i < values.length; i++) {
      dtype.set(segment, i, values[i]);
    }
    return add(name, SafetensorsDType.valueOf(dtype.name()), data, shape);
  }

  /** Adds a bf16 tensor of values in (−½, ½) that depend on the name only. */
  public SafetensorsWriter addRandom(String name, long... shape) {
    int count = Math.toIntExact(Arrays.stream(shape).reduce(1, Math::multiplyExact));
    Random random = new Random(name.hashCode());
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = random.nextFloat() - 0.5f;
    }
    return addFloats(name, DType.BF16, values, shape);
  }

  public void write(Path file) {
    StringBuilder json = new StringBuilder("{\"__metadata__\":{\"format\":\"pt\"}");
    int offset = 0;
    for (Map.Entry<String, Entry> named : entries.entrySet()) {
      Entry entry = named.getValue();
      int end = offset + entry.data().length;
      json.append(
          ",\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
              .formatted(
                  named.getKey(), entry.dtype(), Arrays.toString(entry.shape()), offset, end));
      offset = end;
    }
    byte[] data = new byte[offset];
    int position = 0;
    for (Entry entry : entries.values()) {
      System.arraycopy(entry.data(), 0, data, position, entry.data().length);
      position += entry.data().length;
    }
    write(file, framed(json.append('}').toString(), data));
  }

  /** Writes a file with the given header, right or wrong, and {@code dataBytes} zeros. */
  public static void writeRaw(Path file, String header, int dataBytes) {
    write(file, framed(header, new byte[dataBytes]));
  }

  private static byte[] framed(String header, byte[] data) {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    byte[] file = new byte[8 + json.length + data.length];
    ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).put(json).put(data);
    return file;
  }

  private static void write(Path file, byte[] bytes) {
    try {
      Files.write(file, bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
