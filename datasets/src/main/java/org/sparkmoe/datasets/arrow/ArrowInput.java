package org.sparkmoe.datasets.arrow;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.OutOfMemoryException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;

/**
 * One open Arrow file, read within its bounds. Every failure leaves as an {@link InputException}
 * that names the file.
 */
final class ArrowInput implements Closeable {
  /** A footer of this size lists more than two million record batches. */
  private static final int MAX_METADATA_BYTES = 64 << 20;

  private static final int COPY_BYTES = 1 << 20;
  private static final int CONTINUATION = -1;

  private final String path;
  private final long length;
  private final FSDataInputStream in;
  private byte[] copy = new byte[0];

  private ArrowInput(String path, long length, FSDataInputStream in) {
    this.path = path;
    this.length = length;
    this.in = in;
  }

  static ArrowInput open(String path, long length, Configuration conf) {
    return guard(
        path,
        () -> {
          Path file = new Path(path);
          return new ArrowInput(path, length, file.getFileSystem(conf).open(file));
        });
  }

  /** Work on a file, which fails in many ways when the file is damaged. */
  interface Work<T> {
    T run() throws IOException;
  }

  /**
   * Runs {@code work} and turns its failures into one line that names the file. Flatbuffers are
   * read unverified: bytes that are none show as any runtime exception, or as endless recursion.
   */
  static <T> T guard(String path, Work<T> work) {
    try {
      return work.run();
    } catch (InputException e) {
      throw e;
    } catch (OutOfMemoryException e) {
      throw new InputException(
          "Arrow file %s needs more memory than %s=%d; raise that option or write smaller batches"
              .formatted(path, ArrowMemory.LIMIT_OPTION, ArrowMemory.limit()),
          e);
    } catch (IOException e) {
      throw new InputException("cannot read Arrow file " + path + ": " + oneLine(e), e);
    } catch (RuntimeException | StackOverflowError e) {
      throw new InputException(
          "Arrow file " + path + " is damaged (" + oneLine(e) + "); write it again", e);
    }
  }

  String path() {
    return path;
  }

  long length() {
    return length;
  }

  InputException damaged(String what) {
    return new InputException("Arrow file " + path + " is damaged: " + what + "; write it again");
  }

  /** Checks that {@code [offset, offset + size)} lies in the file. */
  void require(long offset, long size, String what) {
    if (offset < 0 || size < 0 || size > length - offset) {
      throw damaged(
          "%s at %d, %d bytes, is outside of its %d bytes".formatted(what, offset, size, length));
    }
  }

  /** Reads metadata, little-endian. */
  ByteBuffer metadata(long offset, long size, String what) throws IOException {
    require(offset, size, what);
    if (size > MAX_METADATA_BYTES) {
      throw damaged("%s has %d bytes, limit %d".formatted(what, size, MAX_METADATA_BYTES));
    }
    byte[] bytes = new byte[(int) size];
    in.seek(offset);
    in.readFully(bytes);
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** The message whose metadata, prefix included, takes {@code metadataLength} bytes. */
  Message message(long offset, int metadataLength) throws IOException {
    ByteBuffer bytes = metadata(offset, metadataLength, "a message");
    int first = bytes.getInt();
    int size = first == CONTINUATION ? bytes.getInt() : first;
    if (size <= 0 || size > bytes.remaining()) {
      throw damaged("a message at %d states %d bytes".formatted(offset, size));
    }
    return Message.getRootAsMessage(bytes.slice().order(ByteOrder.LITTLE_ENDIAN));
  }

  /** Fills {@code target} from the file, from {@code offset}. */
  void read(long offset, long size, ArrowBuf target) throws IOException {
    require(offset, size, "a buffer");
    in.seek(offset);
    if (copy.length < Math.min(size, COPY_BYTES)) {
      copy = new byte[(int) Math.min(size, COPY_BYTES)];
    }
    for (long done = 0; done < size; ) {
      int part = (int) Math.min(copy.length, size - done);
      in.readFully(copy, 0, part);
      target.setBytes(done, copy, 0, part);
      done += part;
    }
    target.writerIndex(size);
  }

  @Override
  public void close() throws IOException {
    in.close();
  }

  private static String oneLine(Throwable e) {
    String text = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    return text.strip().replaceAll("\\s*\\R\\s*", " ");
  }
}
