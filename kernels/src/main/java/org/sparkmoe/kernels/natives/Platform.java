package org.sparkmoe.kernels.natives;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/** The machines that native libraries are shipped for, named like the classifiers of their jars. */
public enum Platform {
  LINUX_X86_64("linux-x86_64"),
  LINUX_ARM64("linux-arm64");

  private final String classifier;

  Platform(String classifier) {
    this.classifier = classifier;
  }

  /** The classifier of the jars. */
  public String classifier() {
    return classifier;
  }

  /**
   * The machine this JVM runs on.
   *
   * @throws NativesException for any other
   */
  public static Platform current() throws NativesException {
    return of(System.getProperty("os.name"), System.getProperty("os.arch"), mappedFiles());
  }

  /**
   * Decides from facts.
   *
   * @param os {@code os.name}
   * @param arch {@code os.arch}
   * @param mapped what the process has mapped, as {@code /proc/self/maps} says it
   */
  static Platform of(String os, String arch, String mapped) throws NativesException {
    if (!os.equals("Linux")) {
      throw new NativesException(
          "no native library for %s on %s; there are some for Linux on x86-64 and arm64"
              .formatted(os, arch));
    }
    if (mapped.contains("/ld-musl-")) {
      throw new NativesException(
          "the native libraries need glibc, this JVM runs on musl; use an image with glibc");
    }
    return switch (arch.toLowerCase(Locale.ROOT)) {
      case "amd64", "x86_64" -> LINUX_X86_64;
      case "aarch64", "arm64" -> LINUX_ARM64;
      default ->
          throw new NativesException(
              "no native library for Linux on %s; there are some for x86-64 and arm64"
                  .formatted(arch));
    };
  }

  private static String mappedFiles() {
    try {
      return Files.readString(Path.of("/proc/self/maps"), StandardCharsets.ISO_8859_1);
    } catch (IOException e) {
      // Without /proc nothing is known; the library itself then says what it lacks.
      return "";
    }
  }
}
