package org.sparkmoe.kernels.natives;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;

/**
 * Unpacked native libraries, once per user. A set of files has a folder named by the hash of its
 * first file. Each file is checked against its pinned hash every time before it is loaded, and put
 * in place by one rename: processes that unpack at the same time do not disturb each other, and a
 * process that has a file mapped keeps it when another one replaces it.
 */
public final class NativeCache {
  /** System property that names the folder to keep libraries in. */
  public static final String FOLDER_PROPERTY = "spark.moe.natives.dir";

  private static final String REMEDY =
      "name a writable folder that allows executing, with " + FOLDER_PROPERTY;
  private static final Set<PosixFilePermission> OWNER_ONLY =
      PosixFilePermissions.fromString("rwx------");
  private static final int COPY_BUFFER = 1 << 20;

  private final List<Path> folders;

  /**
   * A cache.
   *
   * @param folders tried in this order
   */
  NativeCache(List<Path> folders) {
    this.folders = List.copyOf(folders);
  }

  /**
   * The cache of this user: where {@link #FOLDER_PROPERTY} says, else below {@code XDG_CACHE_HOME}
   * or {@code ~/.cache}, else, for users without a home as in many containers, in the folder for
   * temporary files.
   */
  public static NativeCache ofUser() {
    String named = System.getProperty(FOLDER_PROPERTY, "");
    if (!named.isEmpty()) {
      return new NativeCache(List.of(Path.of(named)));
    }
    String xdg = System.getenv().getOrDefault("XDG_CACHE_HOME", "");
    Path caches = xdg.isEmpty() ? Path.of(System.getProperty("user.home"), ".cache") : Path.of(xdg);
    Path temporary =
        Path.of(
            System.getProperty("java.io.tmpdir"), "spark-moe-" + System.getProperty("user.name"));
    return new NativeCache(
        List.of(
            caches.resolve("spark-moe").resolve("natives").toAbsolutePath(),
            temporary.resolve("natives").toAbsolutePath()));
  }

  /** Makes a setting of a job count for this process too; without one nothing changes. */
  public static void nameFolder(String folderOrNull) {
    if (folderOrNull != null) {
      System.setProperty(FOLDER_PROPERTY, folderOrNull);
    }
  }

  /**
   * Unpacks what is missing or broken.
   *
   * @return the library to load, whose hash was just checked
   * @throws NativesException where no folder can hold the files; every reason is in the message
   */
  public Path unpack(NativeFiles files) throws NativesException {
    List<String> reasons = new ArrayList<>();
    for (Path folder : folders) {
      try {
        return unpackInto(folder, files);
      } catch (IOException e) {
        reasons.add("%s: %s".formatted(folder, reason(e, folder)));
      }
    }
    throw new NativesException(
        "cannot unpack %s: %s; %s"
            .formatted(files.resources().getFirst().name(), String.join("; ", reasons), REMEDY));
  }

  private static Path unpackInto(Path root, NativeFiles files)
      throws IOException, NativesException {
    Path folder = root.resolve(files.resources().getFirst().sha256());
    makePrivate(root);
    makePrivate(folder);
    for (NativeFiles.Resource resource : files.resources()) {
      Path file = folder.resolve(resource.name());
      if (!Files.isRegularFile(file) || !hash(file).equals(resource.sha256())) {
        replace(file, resource);
      }
    }
    return folder.resolve(files.resources().getFirst().name());
  }

  /** Nobody else may put a library where this user loads it from. */
  private static void makePrivate(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      Files.createDirectories(folder, PosixFilePermissions.asFileAttribute(OWNER_ONLY));
    }
    Set<PosixFilePermission> others = EnumSet.copyOf(Files.getPosixFilePermissions(folder));
    others.retainAll(Set.of(PosixFilePermission.GROUP_WRITE, PosixFilePermission.OTHERS_WRITE));
    if (!others.isEmpty()) {
      throw new IOException("others may write to it: chmod 700 it");
    }
    Path probe = Files.createTempFile(folder, ".owner", "");
    try {
      if (!Files.getOwner(probe).equals(Files.getOwner(folder))) {
        throw new IOException("it belongs to " + Files.getOwner(folder));
      }
    } finally {
      Files.deleteIfExists(probe);
    }
  }

  private static void replace(Path file, NativeFiles.Resource resource)
      throws IOException, NativesException {
    Path fresh = Files.createTempFile(file.getParent(), "." + resource.name(), ".part");
    try {
      String found = copy(resource, fresh);
      if (!found.equals(resource.sha256())) {
        throw new NativesException(
            "%s on the class path has SHA-256 %s, pinned is %s; build again with the pinned version"
                .formatted(resource.path(), found, resource.sha256()));
      }
      Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(fresh);
    }
  }

  private static String copy(NativeFiles.Resource resource, Path to)
      throws IOException, NativesException {
    MessageDigest digest = sha256();
    try (InputStream in = NativeCache.class.getResourceAsStream("/" + resource.path())) {
      if (in == null) {
        throw new NativesException(
            "%s is not on the class path; use the application jar as it was built"
                .formatted(resource.path()));
      }
      Files.copy(new DigestInputStream(in, digest), to, StandardCopyOption.REPLACE_EXISTING);
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static String hash(Path file) throws IOException {
    MessageDigest digest = sha256();
    byte[] buffer = new byte[COPY_BUFFER];
    try (InputStream in = Files.newInputStream(file)) {
      for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
        digest.update(buffer, 0, read);
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has SHA-256", e);
    }
  }

  /** What went wrong, without the path that stands before it. */
  private static String reason(IOException e, Path folder) {
    String text =
        switch (e) {
          case java.nio.file.AccessDeniedException denied -> "no permission to write";
          case java.nio.file.FileAlreadyExistsException exists ->
              exists.getFile() + " is no folder";
          default -> e.getMessage();
        };
    return text.replace(folder + ": ", "");
  }
}
