package org.sparkmoe.datasets.safetensors;

import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import org.sparkmoe.datasets.InputException;

/**
 * A local safetensors file, held open until {@link #close()}. Thread-safe; reads of one file take
 * turns.
 *
 * <p>Tensors are copied out instead of mapped: mapped pages would stay in this process beside what
 * is made of them, and a file truncated meanwhile would be a fault instead of an error. The file is
 * read through its descriptor and not a channel, since a channel is closed for everybody when one
 * reading thread is interrupted, as Spark does with tasks that it kills.
 */
public final class SafetensorsFile implements AutoCloseable {
  /** Bytes copied at once: small enough to stay in the second-level cache. */
  private static final int CHUNK = 256 << 10;

  private final Path path;
  private final SafetensorsHeader header;
  private final long size;

  /** Guarded by itself: its position moves. */
  private final RandomAccessFile file;

  private final byte[] chunk = new byte[CHUNK];

  private SafetensorsFile(Path path, SafetensorsHeader header, RandomAccessFile file, long size) {
    this.path = path;
    this.header = header;
    this.file = file;
    this.size = size;
  }

  /**
   * Opens the file and checks its header.
   *
   * @throws InputException if the file is missing, unreadable or breaks a rule of the format
   */
  public static SafetensorsFile open(Path path) {
    String name = Quoted.of(path.toString());
    if (!Files.isRegularFile(path)) {
      throw new InputException(name + ": no such file; give the path of a safetensors file");
    }
    RandomAccessFile file = null;
    SafetensorsFile opened = null;
    try {
      file = new RandomAccessFile(path.toFile(), "r");
      long size = file.length();
      // Reads ahead of what it hands out, which does not matter: later reads seek.
      var in = new BufferedInputStream(new FileInputStream(file.getFD()));
      opened = new SafetensorsFile(path, SafetensorsHeader.read(name, size, in), file, size);
      return opened;
    } catch (IOException e) {
      throw unreadable(path, e);
    } finally {
      if (opened == null && file != null) {
        closeQuietly(file);
      }
    }
  }

  public Path path() {
    return path;
  }

  /** Bytes of the file. */
  public long size() {
    return size;
  }

  public SafetensorsHeader header() {
    return header;
  }

  /** Tensors by name, in the order of the header. */
  public Map<String, TensorInfo> tensors() {
    return header.tensors();
  }

  /** The tensor called {@code name}. Refused with an {@link InputException} if there is none. */
  public TensorInfo tensor(String name) {
    TensorInfo info = tensors().get(name);
    if (info == null) {
      throw new InputException(
          "%s: no tensor %s among its %d; name one of those"
              .formatted(Quoted.of(path.toString()), Quoted.of(name), tensors().size()));
    }
    return info;
  }

  /**
   * Copies bytes of a tensor.
   *
   * @param first byte of the tensor's data to begin with
   * @param to filled completely
   * @throws InputException if there is no such tensor, or the file cannot be read any more
   * @throws IndexOutOfBoundsException beyond the tensor
   */
  public void read(String name, long first, MemorySegment to) {
    TensorInfo info = tensor(name);
    Objects.checkFromIndexSize(first, to.byteSize(), info.bytes());
    try {
      synchronized (file) {
        file.seek(info.begin() + first);
        for (long done = 0; done < to.byteSize(); ) {
          int count = (int) Math.min(CHUNK, to.byteSize() - done);
          file.readFully(chunk, 0, count);
          MemorySegment.copy(chunk, 0, to, ValueLayout.JAVA_BYTE, done, count);
          done += count;
        }
      }
    } catch (EOFException e) {
      throw new InputException(
          "%s: ends within tensor %s, though it had %d bytes when it was opened; leave it unchanged and run again"
              .formatted(Quoted.of(path.toString()), Quoted.of(name), size),
          e);
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }

  /** A copy of a small tensor on the heap. Refused if there is no such tensor. */
  public MemorySegment data(String name) {
    MemorySegment data = MemorySegment.ofArray(new byte[Math.toIntExact(tensor(name).bytes())]);
    read(name, 0, data);
    return data;
  }

  @Override
  public void close() {
    closeQuietly(file);
  }

  private static InputException unreadable(Path path, IOException e) {
    return new InputException(
        "%s: cannot be read (%s); check the file and its permissions"
            .formatted(Quoted.of(path.toString()), Quoted.of(String.valueOf(e.getMessage()))),
        e);
  }

  /** Nothing was written, so nothing is lost where closing fails. */
  private static void closeQuietly(RandomAccessFile file) {
    try {
      file.close();
    } catch (IOException ignored) {
      // see above
    }
  }
}
