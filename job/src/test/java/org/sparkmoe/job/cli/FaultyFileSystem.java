package org.sparkmoe.job.cli;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.OutputStream;
import java.util.EnumSet;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Predicate;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.security.AccessControlException;
import org.apache.hadoop.util.Progressable;
import org.sparkmoe.datasets.checkpoint.MemoryFileSystem;

/**
 * Local files under the scheme {@code faulty:} that fail as disks, permissions and other people's
 * deletions do. The faults are static, since tasks have file systems of their own.
 */
public final class FaultyFileSystem extends MemoryFileSystem {
  static final String SCHEME = "faulty";

  private static final AtomicLong FREE = new AtomicLong(Long.MAX_VALUE);
  private static volatile Predicate<Path> denied = path -> false;
  private static volatile Predicate<Path> gone = path -> false;

  static void register(Configuration conf) {
    conf.set("fs.faulty.impl", FaultyFileSystem.class.getName());
    conf.setBoolean("fs.faulty.impl.disable.cache", true);
  }

  /** Without any fault. */
  static void heal() {
    FREE.set(Long.MAX_VALUE);
    denied = path -> false;
    gone = path -> false;
  }

  /** Takes {@code bytes} more in all, and is full then. */
  static void leave(long bytes) {
    FREE.set(bytes);
  }

  /** Lets nobody write at, rename to or make folders at these paths. */
  static void deny(Predicate<Path> paths) {
    denied = paths;
  }

  /** Lets files vanish from now on. */
  static void lose(Predicate<Path> paths) {
    gone = paths;
  }

  @Override
  public String getScheme() {
    return SCHEME;
  }

  @Override
  public FileStatus getFileStatus(Path path) throws IOException {
    FileStatus status = super.getFileStatus(path);
    status.setPath(makeQualified(status.getPath()));
    return status;
  }

  @Override
  public FileStatus[] listStatus(Path path) throws IOException {
    FileStatus[] all = super.listStatus(path);
    for (FileStatus status : all) {
      status.setPath(makeQualified(status.getPath()));
    }
    return all;
  }

  @Override
  public FSDataInputStream open(Path path, int buffer) throws IOException {
    if (gone.test(path)) {
      throw new FileNotFoundException("File " + path + " does not exist");
    }
    return super.open(path, buffer);
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
    requireAllowed(path);
    FSDataOutputStream out =
        super.create(path, permission, overwrite, buffer, replication, block, progress);
    return new FSDataOutputStream(new Bounded(out), null);
  }

  @Override
  public FSDataOutputStream createNonRecursive(
      Path path,
      FsPermission permission,
      EnumSet<CreateFlag> flags,
      int buffer,
      short replication,
      long block,
      Progressable progress)
      throws IOException {
    getFileStatus(path.getParent());
    boolean overwrite = flags.contains(CreateFlag.OVERWRITE);
    return create(path, permission, overwrite, buffer, replication, block, progress);
  }

  @Override
  public boolean mkdirs(Path path) throws IOException {
    requireAllowed(path);
    return super.mkdirs(path);
  }

  @Override
  public boolean mkdirs(Path path, FsPermission permission) throws IOException {
    requireAllowed(path);
    return super.mkdirs(path, permission);
  }

  @Override
  public boolean rename(Path from, Path to) throws IOException {
    requireAllowed(to);
    return super.rename(from, to);
  }

  private static void requireAllowed(Path path) throws IOException {
    if (denied.test(path)) {
      throw new AccessControlException(
          "Permission denied: user=moe, access=WRITE, inode=\"%s\"".formatted(path));
    }
  }

  /** Writes while there is room. */
  private static final class Bounded extends OutputStream {
    private final OutputStream out;

    Bounded(OutputStream out) {
      this.out = out;
    }

    @Override
    public void write(int b) throws IOException {
      take(1);
      out.write(b);
    }

    @Override
    public void write(byte[] bytes, int from, int length) throws IOException {
      take(length);
      out.write(bytes, from, length);
    }

    @Override
    public void flush() throws IOException {
      out.flush();
    }

    @Override
    public void close() throws IOException {
      out.close();
    }

    private static void take(int bytes) throws IOException {
      if (FREE.addAndGet(-bytes) < 0) {
        FREE.addAndGet(bytes);
        throw new IOException("No space left on device");
      }
    }
  }
}
