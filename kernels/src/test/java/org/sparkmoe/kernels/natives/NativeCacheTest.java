package org.sparkmoe.kernels.natives;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The cache, with the class files of two tests for libraries. */
final class NativeCacheTest {
  private static final String FIRST = "org/sparkmoe/kernels/natives/NativeCacheTest.class";
  private static final String SECOND = "org/sparkmoe/kernels/natives/PlatformTest.class";

  @TempDir private Path folder;

  @Test
  void unpacksWhatIsMissingForThisUserOnly() throws Exception {
    Path file = cache().unpack(files());
    assertThat(Files.readAllBytes(file)).isEqualTo(bytes(FIRST));
    assertThat(file.resolveSibling("PlatformTest.class")).hasBinaryContent(bytes(SECOND));
    assertThat(file.getParent().getFileName()).hasToString(hash(FIRST));
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file.getParent())))
        .isEqualTo("rwx------");
    assertThat(names(file.getParent()))
        .containsExactlyInAnyOrder("NativeCacheTest.class", "PlatformTest.class");
  }

  @Test
  void keepsWhatIsRightAndReplacesWhatIsBroken() throws Exception {
    Path file = cache().unpack(files());
    Object sameFile = Files.readAttributes(file, "unix:ino").get("ino");
    assertThat(cache().unpack(files())).isEqualTo(file);
    assertThat(Files.readAttributes(file, "unix:ino").get("ino")).isEqualTo(sameFile);

    Files.write(file.resolveSibling("PlatformTest.class"), new byte[] {1});
    cache().unpack(files());
    assertThat(file.resolveSibling("PlatformTest.class")).hasBinaryContent(bytes(SECOND));
  }

  @Test
  void refusesAResourceThatIsNotThePinnedOne() throws Exception {
    NativeFiles wrong = new NativeFiles(List.of(new NativeFiles.Resource(FIRST, "0".repeat(64))));
    assertThatThrownBy(() -> cache().unpack(wrong))
        .isInstanceOf(NativesException.class)
        .hasMessageContaining(FIRST)
        .hasMessageContaining(hash(FIRST))
        .hasMessageContaining("pinned is 0000");
    assertThat(names(folder.resolve("0".repeat(64)))).as("nothing is left behind").isEmpty();
  }

  @Test
  void namesAResourceThatIsMissing() {
    NativeFiles missing = new NativeFiles(List.of(new NativeFiles.Resource("no/lib.so", "00")));
    assertThatThrownBy(() -> cache().unpack(missing))
        .hasMessage("no/lib.so is not on the class path; use the application jar as it was built");
  }

  @Test
  void threadsThatUnpackTogetherAllGetTheWholeFile() throws Exception {
    try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
      Callable<Path> unpack = () -> cache().unpack(files());
      for (Future<Path> file :
          threads.invokeAll(Stream.generate(() -> unpack).limit(32).toList())) {
        assertThat(resolved(file)).hasBinaryContent(bytes(FIRST));
      }
    }
  }

  private static Path resolved(Future<Path> file) throws InterruptedException {
    try {
      return file.get();
    } catch (ExecutionException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void aFolderThatCannotBeMadeIsNamedWithTheRemedy() throws IOException {
    Path file = Files.createFile(folder.resolve("file"));
    assertThatThrownBy(() -> new NativeCache(List.of(file.resolve("below"))).unpack(files()))
        .hasMessageContaining(file.toString())
        .hasMessageContaining("spark.moe.natives.dir");
  }

  @Test
  void aFolderWithoutPermissionIsSkippedForTheNext() throws Exception {
    assumeFalse(System.getProperty("user.name").equals("root"), "root may write everywhere");
    Path locked = Files.createDirectory(folder.resolve("locked"));
    Files.setPosixFilePermissions(locked, PosixFilePermissions.fromString("r-x------"));
    assertThatThrownBy(() -> new NativeCache(List.of(locked)).unpack(files()))
        .hasMessageContaining(locked + ": no permission to write");
    Path next = folder.resolve("next");
    assertThat(new NativeCache(List.of(locked, next)).unpack(files())).startsWith(next);
  }

  @Test
  void aFolderThatOthersMayWriteToIsRefused() throws IOException {
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxrwx---"));
    assertThatThrownBy(() -> cache().unpack(files())).hasMessageContaining("chmod 700");
  }

  /** Fails when the version of a jar changes and its pinned hashes do not. */
  @ParameterizedTest
  @EnumSource
  void thePinnedHashesAreThoseOfTheJars(Platform platform) throws Exception {
    NativeFiles dnnl = NativeFiles.dnnl(platform);
    assertThat(dnnl.resources().stream().map(NativeFiles.Resource::name))
        .containsExactly("libdnnl.so.3", "libgomp.so.1");
    for (NativeFiles.Resource resource : dnnl.resources()) {
      assertThat(hash(resource.path())).as(resource.path()).isEqualTo(resource.sha256());
    }
  }

  private NativeCache cache() {
    return new NativeCache(List.of(folder));
  }

  private static NativeFiles files() throws Exception {
    return new NativeFiles(
        List.of(
            new NativeFiles.Resource(FIRST, hash(FIRST)),
            new NativeFiles.Resource(SECOND, hash(SECOND))));
  }

  private static List<String> names(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).collect(Collectors.toList());
    }
  }

  private static byte[] bytes(String resource) throws IOException {
    try (InputStream in = NativeCacheTest.class.getResourceAsStream("/" + resource)) {
      return in.readAllBytes();
    }
  }

  private static String hash(String resource) throws IOException, NoSuchAlgorithmException {
    return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes(resource)));
  }
}
