package org.sparkmoe.datasets.arrow;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.compression.CommonsCompressionFactory;
import org.apache.arrow.flatbuf.BodyCompression;
import org.apache.arrow.flatbuf.Buffer;
import org.apache.arrow.flatbuf.RecordBatch;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.compression.CompressionCodec;
import org.apache.arrow.vector.compression.CompressionUtil;
import org.apache.arrow.vector.compression.CompressionUtil.CodecType;
import org.sparkmoe.datasets.InputException;

/**
 * The bytes of one column in one record batch. A column's buffers lie next to each other in the
 * body, so they are fetched by one read.
 */
final class BodyBuffers implements ColumnLoader.Buffers, AutoCloseable {
  /**
   * No LZ4 or Zstandard frame expands by more: 128 KiB, the largest Zstandard block, take 4 bytes.
   */
  private static final long MAX_EXPANSION = 1 << 15;

  private final ArrowInput input;
  private final BufferAllocator allocator;
  private final CompressionCodec codec;
  private final ArrowBuf region;
  private final List<Range> ranges;

  private record Range(long offset, long length) {}

  private BodyBuffers(
      ArrowInput input,
      BufferAllocator allocator,
      CompressionCodec codec,
      ArrowBuf region,
      List<Range> ranges) {
    this.input = input;
    this.allocator = allocator;
    this.codec = codec;
    this.region = region;
    this.ranges = ranges;
  }

  /** Reads buffers {@code first} to {@code first + count} of {@code batch}. */
  static BodyBuffers read(
      ArrowInput input,
      BufferAllocator allocator,
      BatchBlock block,
      RecordBatch batch,
      int first,
      int count)
      throws IOException {
    CompressionCodec codec = codec(batch.compression());
    long begin = Long.MAX_VALUE;
    long end = 0;
    List<Range> ranges = new ArrayList<>();
    for (int i = first; i < first + count; i++) {
      Buffer buffer = batch.buffers(i);
      long offset = buffer.offset();
      long length = buffer.length();
      if (length < 0 || offset < 0 || offset > block.bodyLength() - length) {
        throw input.damaged("a buffer at %d, %d bytes, is outside".formatted(offset, length));
      }
      if (length > 0) {
        begin = Math.min(begin, offset);
        end = Math.max(end, offset + length);
      }
      ranges.add(new Range(offset, length));
    }
    if (end == 0) {
      return new BodyBuffers(input, allocator, codec, allocator.getEmpty(), ranges);
    }
    long start = begin;
    ArrowBuf region = allocator.buffer(end - start);
    try {
      input.read(block.bodyOffset() + start, end - start, region);
      ranges.replaceAll(r -> r.length == 0 ? r : new Range(r.offset - start, r.length));
      return new BodyBuffers(input, allocator, codec, region, ranges);
    } catch (IOException | RuntimeException e) {
      region.close();
      throw e;
    }
  }

  @Override
  public ArrowBuf take(int index) {
    Range range = ranges.get(index);
    if (range.length == 0) {
      return allocator.getEmpty();
    }
    ArrowBuf slice = region.slice(range.offset, range.length);
    if (codec == null) {
      slice.getReferenceManager().retain();
      return slice;
    }
    long stated = checkExpansion(slice);
    slice.getReferenceManager().retain();
    ArrowBuf data;
    try {
      // Releases the slice, but only when it succeeds.
      data = codec.decompress(allocator, slice);
    } catch (RuntimeException e) {
      slice.close();
      throw e;
    }
    if (data.capacity() < stated) {
      data.close();
      throw input.damaged("a compressed buffer has fewer than its " + stated + " bytes");
    }
    return data;
  }

  /** Both codecs allocate what the buffer states before they look at its data. */
  private long checkExpansion(ArrowBuf compressed) {
    long header = CompressionUtil.SIZE_OF_UNCOMPRESSED_LENGTH;
    if (compressed.capacity() < header) {
      throw input.damaged("a compressed buffer has %d bytes".formatted(compressed.capacity()));
    }
    long stated = compressed.getLong(0);
    long room = Math.min(allocator.getHeadroom(), Integer.MAX_VALUE);
    if (stated != CompressionUtil.NO_COMPRESSION_LENGTH
        && (stated < 0 || stated / MAX_EXPANSION > compressed.capacity() || stated > room)) {
      throw new InputException(
          "Arrow file %s has a buffer that expands from %d to %d bytes, limit %d; raise %s"
              .formatted(
                  input.path(),
                  compressed.capacity(),
                  stated,
                  Math.max(0, room),
                  ArrowMemory.LIMIT_OPTION));
    }
    return stated;
  }

  private static CompressionCodec codec(BodyCompression compression) {
    if (compression == null) {
      return null;
    }
    // Named outright: as a service it is registered for the module path only, and Spark has none.
    return CommonsCompressionFactory.INSTANCE.createCodec(
        CodecType.fromCompressionType(compression.codec()));
  }

  @Override
  public void close() {
    region.close();
  }
}
