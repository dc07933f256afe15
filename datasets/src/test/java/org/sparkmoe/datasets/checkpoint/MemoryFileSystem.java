package org.sparkmoe.datasets.checkpoint;

import java.io.IOException;
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FilterFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/**
 * A file system of its own scheme, {@code mem:}, as remote as HDFS to whoever asks for its scheme;
 * its files are those of the local one.
 */
public class MemoryFileSystem extends FilterFileSystem {
  static final String SCHEME = "mem";

  /** A configuration that knows the scheme. */
  public static Configuration conf(java.nio.file.Path cache) {
    Configuration conf = new Configuration(false);
    conf.set("fs.mem.impl", MemoryFileSystem.class.getName());
    conf.setBoolean("fs.mem.impl.disable.cache", true);
    conf.set(ShardCache.FOLDER_KEY, cache.toString());
    return conf;
  }

  public MemoryFileSystem() {
    super(new RawLocalFileSystem());
  }

  @Override
  public void initialize(URI name, Configuration conf) throws IOException {
    fs.initialize(URI.create("file:///"), conf);
    setConf(conf);
  }

  @Override
  public URI getUri() {
    return URI.create(getScheme() + ":///");
  }

  @Override
  public String getScheme() {
    return SCHEME;
  }

  @Override
  public Path makeQualified(Path path) {
    return new Path(getScheme(), null, path.toUri().getPath());
  }

  @Override
  public FileStatus getFileStatus(Path path) throws IOException {
    return fs.getFileStatus(local(path));
  }

  @Override
  public FileStatus[] listStatus(Path path) throws IOException {
    return fs.listStatus(local(path));
  }

  @Override
  public FSDataInputStream open(Path path, int buffer) throws IOException {
    return fs.open(local(path), buffer);
  }

  @Override
  public FSDataOutputStream create(
      Path path,
      FsPermission permission,
      boolean overwrite,
      int buffer,
      short replication,
      long block,
      Progressable progress)
      throws IOException {
    return fs.create(local(path), permission, overwrite, buffer, replication, block, progress);
  }

  @Override
  public boolean mkdirs(Path path) throws IOException {
    return fs.mkdirs(local(path));
  }

  @Override
  public boolean mkdirs(Path path, FsPermission permission) throws IOException {
    return fs.mkdirs(local(path), permission);
  }

  @Override
  public boolean rename(Path from, Path to) throws IOException {
    return fs.rename(local(from), local(to));
  }

  @Override
  public boolean delete(Path path, boolean recursive) throws IOException {
    return fs.delete(local(path), recursive);
  }

  private static Path local(Path path) {
    return new Path(path.toUri().getPath());
  }
}
