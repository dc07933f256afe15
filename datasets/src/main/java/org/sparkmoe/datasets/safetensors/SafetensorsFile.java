package org.sparkmoe.datasets.safetensors;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import org.sparkmoe.datasets.InputException;

/**
 * A local safetensors file, mapped into memory. Thread-safe; the data is paged in by the operating
 * system when it is touched. Data handed out is valid until {@link #close()}.
 */
public final class SafetensorsFile implements AutoCloseable {
  private final Path path;
  private final SafetensorsHeader header;
  private final Arena arena;
  private final MemorySegment mapping;

  private SafetensorsFile(Path path, SafetensorsHeader header, Arena arena, MemorySegment mapping) {
    this.path = path;
    this.header = header;
    this.arena = arena;
    this.mapping = mapping;
  }

  /**
   * Checks the header and maps the file.
   *
   * @throws InputException if the file is missing, unreadable or breaks a rule of the format
   */
  public static SafetensorsFile open(Path path) {
    String name = Quoted.of(path.toString());
    if (!Files.isRegularFile(path)) {
      throw new InputException(name + ": no such file; give the path of a safetensors file");
    }
    Arena arena = Arena.ofShared();
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      long size = channel.size();
      // The channel's position moves, the mapping below takes absolute ones.
      InputStream in = new BufferedInputStream(Channels.newInputStream(channel));
      SafetensorsHeader header = SafetensorsHeader.read(name, size, in);
      MemorySegment mapping = channel.map(FileChannel.MapMode.READ_ONLY, 0, size, arena);
      return new SafetensorsFile(path, header, arena, mapping);
    } catch (IOException e) {
      arena.close();
      throw new InputException(
          "%s: cannot be read (%s); check the file and its permissions"
              .formatted(name, Quoted.of(String.valueOf(e.getMessage()))),
          e);
    } catch (InputException e) {
      arena.close();
      throw e;
    }
  }

  public Path path() {
    return path;
  }

  /** Bytes of the file. */
  public long size() {
    return mapping.byteSize();
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

  /** The read-only bytes of a tensor, without a copy. Refused if there is no such tensor. */
  public MemorySegment data(String name) {
    TensorInfo info = tensor(name);
    return mapping.asSlice(info.begin(), info.bytes());
  }

  @Override
  public void close() {
    arena.close();
  }
}
