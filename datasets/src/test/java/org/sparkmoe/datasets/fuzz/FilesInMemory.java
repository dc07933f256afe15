package org.sparkmoe.datasets.fuzz;

import java.io.ByteArrayInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.PositionedReadable;
import org.apache.hadoop.fs.Seekable;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/**
 * Files of one folder, {@code fuzz:/folder}, in memory. Whoever asks for any other path is caught:
 * that is an {@link AssertionError}, which no reader handles.
 */
public final class FilesInMemory extends FileSystem {
  static final String FOLDER = "fuzz:/folder";

  private static final Map<String, byte[]> FILES = new ConcurrentHashMap<>();

  static Configuration conf() {
    Configuration conf = new Configuration(false);
    conf.set("fs.fuzz.impl", FilesInMemory.class.getName());
    return conf;
  }

  static void put(Map<String, byte[]> files) {
    FILES.clear();
    FILES.putAll(files);
  }

  @Override
  public URI getUri() {
    return URI.create("fuzz:///");
  }

  @Override
  public void initialize(URI name, Configuration conf) throws IOException {
    setConf(conf);
  }

  @Override
  public FSDataInputStream open(Path path, int buffer) throws IOException {
    return new FSDataInputStream(new Bytes(bytes(path)));
  }

  @Override
  public FileStatus getFileStatus(Path path) throws IOException {
    String text = path.toUri().getPath();
    return text.equals("/folder")
        ? new FileStatus(0, true, 1, 1, 0, path)
        : new FileStatus(bytes(path).length, false, 1, 1, 0, path);
  }

  @Override
  public FileStatus[] listStatus(Path path) {
    return FILES.entrySet().stream()
        .map(f -> new FileStatus(f.getValue().length, false, 1, 1, 0, new Path(path, f.getKey())))
        .toArray(FileStatus[]::new);
  }

  private static byte[] bytes(Path path) throws FileNotFoundException {
    String text = path.toUri().getPath();
    String name = path.getName();
    if (!text.equals("/folder/" + name) || name.equals("..")) {
      throw new AssertionError("asked for " + path + ", outside the folder");
    }
    byte[] bytes = FILES.get(name);
    if (bytes == null) {
      throw new FileNotFoundException(text);
    }
    return bytes;
  }

  @Override
  public FSDataOutputStream create(
      Path path,
      FsPermission permission,
      boolean overwrite,
      int buffer,
      short replication,
      long block,
      Progressable progress) {
    throw new AssertionError("a reader wrote " + path);
  }

  @Override
  public FSDataOutputStream append(Path path, int buffer, Progressable progress) {
    throw new AssertionError("a reader wrote " + path);
  }

  @Override
  public boolean rename(Path from, Path to) {
    throw new AssertionError("a reader renamed " + from);
  }

  @Override
  public boolean delete(Path path, boolean recursive) {
    throw new AssertionError("a reader deleted " + path);
  }

  @Override
  public boolean mkdirs(Path path, FsPermission permission) {
    throw new AssertionError("a reader made " + path);
  }

  @Override
  public void setWorkingDirectory(Path path) {}

  @Override
  public Path getWorkingDirectory() {
    return new Path("fuzz:/");
  }

  private static final class Bytes extends ByteArrayInputStream
      implements Seekable, PositionedReadable {
    Bytes(byte[] bytes) {
      super(bytes);
    }

    @Override
    public void seek(long to) throws IOException {
      if (to < 0 || to > count) {
        throw new IOException("cannot seek to " + to + " of " + count);
      }
      pos = (int) to;
    }

    @Override
    public long getPos() {
      return pos;
    }

    @Override
    public boolean seekToNewSource(long to) {
      return false;
    }

    @Override
    public int read(long at, byte[] to, int from, int length) throws IOException {
      if (at >= count) {
        return -1;
      }
      int read = Math.min(length, count - (int) at);
      System.arraycopy(buf, (int) at, to, from, read);
      return read;
    }

    @Override
    public void readFully(long at, byte[] to, int from, int length) throws IOException {
      if (at < 0 || at + length > count) {
        throw new java.io.EOFException("the file has " + count + " bytes");
      }
      System.arraycopy(buf, (int) at, to, from, length);
    }

    @Override
    public void readFully(long at, byte[] to) throws IOException {
      readFully(at, to, 0, to.length);
    }
  }
}
