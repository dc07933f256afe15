package org.sparkmoe.kernels.natives;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * Libraries that belong together: they are kept in one folder, where they find each other.
 *
 * @param resources what to unpack from the class path; the first is the one to load
 */
public record NativeFiles(List<Resource> resources) {

  /**
   * One file.
   *
   * @param path on the class path
   * @param sha256 of its bytes, lower-case hex
   */
  public record Resource(String path, String sha256) {
    /** The file's name, which other libraries refer to. */
    String name() {
      return path.substring(path.lastIndexOf('/') + 1);
    }
  }

  public NativeFiles {
    resources = List.copyOf(resources);
  }

  /** oneDNN and the OpenMP runtime it is linked with. */
  public static NativeFiles dnnl(Platform platform) {
    return pinned("dnnl.sha256", "/" + platform.classifier() + "/");
  }

  /**
   * The lines of a pinned list, in the format of {@code sha256sum}, whose paths contain {@code
   * part}.
   */
  private static NativeFiles pinned(String list, String part) {
    try (InputStream in = NativeFiles.class.getResourceAsStream(list)) {
      String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      return new NativeFiles(
          text.lines()
              .map(line -> line.split(" +", 2))
              .filter(fields -> fields[1].contains(part))
              .map(fields -> new Resource(fields[1], fields[0]))
              .toList());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
