package org.sparkmoe.datasets.arrow;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.flatbuf.Block;
import org.apache.arrow.flatbuf.Endianness;
import org.apache.arrow.flatbuf.Field;
import org.apache.arrow.flatbuf.Footer;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.vector.types.pojo.Schema;
import org.apache.hadoop.conf.Configuration;
import org.sparkmoe.datasets.InputException;

/**
 * Finds the schema and the record batches of a file: in the footer of the random-access layout, or
 * by hopping from message to message through a stream.
 */
final class ArrowIndexer {
  private static final String MAGIC = "ARROW1";

  /** Magic, padded to eight bytes. */
  private static final int HEAD_BYTES = 8;

  /** Length of the footer, and the magic again. */
  private static final int TAIL_BYTES = 4 + 6;

  private static final int PREFIX_BYTES = 8;
  private static final int MAX_DEPTH = 64;

  /** No field fits in fewer bytes of a flatbuffer; a schema that claims more fields is a bomb. */
  private static final int MIN_FIELD_BYTES = 8;

  private final ArrowInput input;
  private int fieldsLeft;

  private ArrowIndexer(ArrowInput input) {
    this.input = input;
  }

  static ArrowIndex index(String path, long length, Configuration conf) {
    try (ArrowInput input = ArrowInput.open(path, length, conf)) {
      return ArrowInput.guard(path, () -> new ArrowIndexer(input).index());
    } catch (IOException e) {
      throw new InputException("cannot close Arrow file " + path, e);
    }
  }

  private ArrowIndex index() throws IOException {
    if (input.length() < HEAD_BYTES) {
      throw notArrow();
    }
    ByteBuffer head = input.metadata(0, HEAD_BYTES, "the head");
    if (magic(head, 0, MAGIC)) {
      return file();
    }
    if (magic(head, 0, "FEA1")) {
      throw new InputException(
          input.path() + " is Feather version 1; write it as version 2, which is Arrow IPC");
    }
    if (head.getInt(0) != -1) {
      throw notArrow();
    }
    return stream();
  }

  private ArrowIndex file() throws IOException {
    long length = input.length();
    if (length < HEAD_BYTES + TAIL_BYTES) {
      throw truncated();
    }
    ByteBuffer tail = input.metadata(length - TAIL_BYTES, TAIL_BYTES, "the tail");
    if (!magic(tail, 4, MAGIC)) {
      throw truncated();
    }
    int footerBytes = tail.getInt(0);
    long footerStart = length - TAIL_BYTES - footerBytes;
    if (footerBytes <= 0 || footerStart < HEAD_BYTES) {
      throw input.damaged("its footer states " + footerBytes + " bytes");
    }
    Footer footer = Footer.getRootAsFooter(input.metadata(footerStart, footerBytes, "the footer"));
    Schema schema = schema(footer.schema(), footerBytes);
    List<BatchBlock> batches = new ArrayList<>();
    for (int i = 0; i < footer.recordBatchesLength(); i++) {
      batches.add(block(footer.recordBatches(i), footerStart));
    }
    return new ArrowIndex(input.path(), length, schema, List.copyOf(batches));
  }

  private BatchBlock block(Block block, long footerStart) {
    long offset = block.offset();
    long room = footerStart - offset - block.metaDataLength();
    if (offset < HEAD_BYTES
        || block.metaDataLength() <= PREFIX_BYTES
        || block.bodyLength() < 0
        || room < block.bodyLength()) {
      throw input.damaged(
          "a record batch at %d, %d + %d bytes, is outside of its data"
              .formatted(offset, block.metaDataLength(), block.bodyLength()));
    }
    return new BatchBlock(offset, block.metaDataLength(), block.bodyLength());
  }

  private ArrowIndex stream() throws IOException {
    Schema schema = null;
    List<BatchBlock> batches = new ArrayList<>();
    long position = 0;
    // A stream ends with a zero length, or, where its writer was not closed, at a message's end.
    while (position < input.length()) {
      int size = messageBytes(position);
      if (size == 0) {
        break;
      }
      int metadataLength = PREFIX_BYTES + size;
      Message message = input.message(position, metadataLength);
      BatchBlock block = new BatchBlock(position, metadataLength, message.bodyLength());
      input.require(block.bodyOffset(), block.bodyLength(), "the body of a message");
      switch (message.headerType()) {
        case MessageHeader.Schema -> schema = schema(schemaOf(message), size);
        case MessageHeader.RecordBatch -> batches.add(block);
        case MessageHeader.DictionaryBatch -> {
          // Columns with a dictionary are refused when selected, so its values are not needed.
        }
        default -> throw input.damaged("a message of kind " + message.headerType());
      }
      position += block.bytes();
    }
    if (schema == null) {
      throw input.damaged("it has no schema");
    }
    return new ArrowIndex(input.path(), input.length(), schema, List.copyOf(batches));
  }

  private int messageBytes(long position) throws IOException {
    if (input.length() - position < PREFIX_BYTES) {
      throw truncated();
    }
    ByteBuffer prefix = input.metadata(position, PREFIX_BYTES, "a message");
    int size = prefix.getInt(4);
    if (prefix.getInt(0) != -1 || size < 0) {
      throw input.damaged("no message at " + position);
    }
    return size;
  }

  private static org.apache.arrow.flatbuf.Schema schemaOf(Message message) {
    return (org.apache.arrow.flatbuf.Schema) message.header(new org.apache.arrow.flatbuf.Schema());
  }

  private Schema schema(org.apache.arrow.flatbuf.Schema flat, int metadataBytes) {
    if (flat.endianness() != Endianness.Little) {
      throw new InputException(
          "Arrow file " + input.path() + " is big-endian; write it on a little-endian machine");
    }
    fieldsLeft = metadataBytes / MIN_FIELD_BYTES;
    for (int i = 0; i < flat.fieldsLength(); i++) {
      countFields(flat.fields(i), 1);
    }
    return Schema.convertSchema(flat);
  }

  private void countFields(Field field, int depth) {
    if (--fieldsLeft < 0 || depth > MAX_DEPTH) {
      throw input.damaged("its schema has more fields than its bytes can hold");
    }
    for (int i = 0; i < field.childrenLength(); i++) {
      countFields(field.children(i), depth + 1);
    }
  }

  private InputException notArrow() {
    return new InputException(
        input.path() + " is not an Arrow IPC file; give the format it has, or write it as Arrow");
  }

  private InputException truncated() {
    return new InputException(
        "Arrow file %s is truncated at %d bytes; write or copy it again"
            .formatted(input.path(), input.length()));
  }

  private static boolean magic(ByteBuffer bytes, int at, String magic) {
    byte[] expected = magic.getBytes(StandardCharsets.US_ASCII);
    for (int i = 0; i < expected.length; i++) {
      if (bytes.get(at + i) != expected[i]) {
        return false;
      }
    }
    return true;
  }
}
