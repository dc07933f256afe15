package org.sparkmoe.datasets.checkpoint;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.zip.CRC32C;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;

/**
 * Local copies of remote shards, one folder per machine and user.
 *
 * <p>A copy is made under a temporary name and renamed when it is whole, so a reader never sees
 * half of one; two processes that copy at once do double work and end with equal files. Checked
 * after copying: the length against the one planned with, and the file read back against the
 * CRC-32C of the bytes that came from the remote side, which is kept beside it. Checked before each
 * reuse: both again; a damaged copy is replaced. The header is hashed by whoever opens the copy.
 * Damage before the bytes reach this machine is left to the remote file system's own checksums. A
 * CRC finds accidents, not tampering: the folder is readable by its owner only.
 */
final class ShardCache {
  /** Setting for the folder, of Spark or of Hadoop. */
  static final String FOLDER_KEY = "spark.moe.cache.dir";

  private static final int BUFFER = 1 << 20;

  /** One copy of a file at a time within this process. */
  private static final Map<Path, Object> LOCKS = new ConcurrentHashMap<>();

  private final Path folder;

  private ShardCache(Path folder) {
    this.folder = folder;
  }

  static ShardCache of(Configuration conf) {
    String user = System.getProperty("user.name", "unknown").replaceAll("[^A-Za-z0-9_.-]", "_");
    Path fallback = Path.of(System.getProperty("java.io.tmpdir"), "spark-moe-" + user);
    return new ShardCache(Path.of(conf.getTrimmed(FOLDER_KEY, fallback.toString())));
  }

  /** The local copy of {@code source}, made or renewed if need be. */
  Path fetch(FileSystem fs, org.apache.hadoop.fs.Path source, ShardRef shard) {
    String key = source + "\n" + shard.size() + "\n" + shard.headerSha256();
    String name = Fingerprint.of(key).substring(0, 32);
    Path copy = folder.resolve(name + ".safetensors");
    Path sum = folder.resolve(name + ".crc32c");
    synchronized (LOCKS.computeIfAbsent(copy.toAbsolutePath(), path -> new Object())) {
      try {
        createFolder();
        if (!intact(copy, sum, shard.size())) {
          copy(fs, source, shard, copy, sum);
        }
        return copy;
      } catch (IOException e) {
        throw new InputException(
            "%s cannot be copied to the cache folder %s (%s); see that %,d bytes are free there, or set %s to another folder"
                .formatted(
                    Quoted.of(source.toString()),
                    Quoted.of(folder.toString()),
                    Quoted.of(String.valueOf(e.getMessage())),
                    shard.size(),
                    FOLDER_KEY),
            e);
      }
    }
  }

  private void createFolder() throws IOException {
    if (Files.isDirectory(folder)) {
      return;
    }
    if (folder.getFileSystem().supportedFileAttributeViews().contains("posix")) {
      Files.createDirectories(
          folder,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    } else {
      Files.createDirectories(folder);
    }
  }

  private static boolean intact(Path copy, Path sum, long size) throws IOException {
    return Files.isRegularFile(copy)
        && Files.isRegularFile(sum)
        && Files.size(copy) == size
        && Files.readString(sum).equals(crc(copy));
  }

  private void copy(
      FileSystem fs, org.apache.hadoop.fs.Path source, ShardRef shard, Path copy, Path sum)
      throws IOException {
    Path part = Files.createTempFile(folder, "shard", ".part");
    Path sumPart = Files.createTempFile(folder, "sum", ".part");
    try {
      String crc;
      try (InputStream in = fs.open(source)) {
        crc = transfer(in, part);
      }
      if (Files.size(part) != shard.size()) {
        throw new InputException(
            "%s gave %d bytes, but had %d when the job was planned; the file changed or the transfer broke, run the job again"
                .formatted(Quoted.of(source.toString()), Files.size(part), shard.size()));
      }
      if (!crc(part).equals(crc)) {
        throw new InputException(
            "the copy of %s in %s reads back differently from what was written; check that disk, or set %s to another folder"
                .formatted(Quoted.of(source.toString()), Quoted.of(folder.toString()), FOLDER_KEY));
      }
      Files.writeString(sumPart, crc);
      Files.move(sumPart, sum, StandardCopyOption.ATOMIC_MOVE);
      Files.move(part, copy, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(part);
      Files.deleteIfExists(sumPart);
    }
  }

  private static String transfer(InputStream in, Path to) throws IOException {
    CRC32C crc = new CRC32C();
    try (OutputStream out = Files.newOutputStream(to)) {
      byte[] buffer = new byte[BUFFER];
      for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
        crc.update(buffer, 0, read);
        out.write(buffer, 0, read);
      }
    }
    return Long.toHexString(crc.getValue());
  }

  private static String crc(Path file) throws IOException {
    CRC32C crc = new CRC32C();
    try (InputStream in = Files.newInputStream(file)) {
      byte[] buffer = new byte[BUFFER];
      for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
        crc.update(buffer, 0, read);
      }
    }
    return Long.toHexString(crc.getValue());
  }
}
