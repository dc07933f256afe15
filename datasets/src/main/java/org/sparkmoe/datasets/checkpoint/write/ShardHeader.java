package org.sparkmoe.datasets.checkpoint.write;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/** The header of a safetensors file: length, JSON, spaces up to a multiple of 8. */
final class ShardHeader {
  private static final JsonMapper JSON = new JsonMapper();

  private ShardHeader() {}

  static byte[] of(List<Entry> entries) {
    byte[] json = json(entries);
    int padded = Math.ceilDiv(json.length, Long.BYTES) * Long.BYTES;
    ByteBuffer header =
        ByteBuffer.allocate(Long.BYTES + padded)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(padded)
            .put(json);
    while (header.hasRemaining()) {
      header.put((byte) ' ');
    }
    return header.array();
  }

  private static byte[] json(List<Entry> entries) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (JsonGenerator json = JSON.createGenerator(bytes)) {
      json.writeStartObject();
      json.writeObjectFieldStart("__metadata__");
      json.writeStringField("format", "pt");
      json.writeEndObject();
      long offset = 0;
      for (Entry entry : entries) {
        json.writeObjectFieldStart(entry.name());
        json.writeStringField("dtype", entry.dtype().name());
        array(json, "shape", entry.shape());
        long end = offset + entry.bytes();
        array(json, "data_offsets", offset, end);
        json.writeEndObject();
        offset = end;
      }
      json.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return bytes.toByteArray();
  }

  private static void array(JsonGenerator json, String name, long... values) throws IOException {
    json.writeFieldName(name);
    json.writeArray(values, 0, values.length);
  }
}
