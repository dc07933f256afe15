package org.sparkmoe.datasets.safetensors;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.sparkmoe.datasets.InputException;

/**
 * The checked header of one safetensors file: every tensor lies inside the file, none overlap, and
 * together they fill the data section, which is what the format demands.
 */
public final class SafetensorsHeader {
  /** The limit of the reference implementation ({@code MAX_HEADER_SIZE} in {@code tensor.rs}). */
  public static final int MAX_HEADER_BYTES = 100_000_000;

  private static final int LENGTH_BYTES = 8;

  /** Read at most this much at once, so that a lying length costs no memory. */
  private static final int CHUNK = 1 << 20;

  private final Map<String, TensorInfo> tensors;
  private final Map<String, String> metadata;
  private final String sha256;

  private SafetensorsHeader(
      Map<String, TensorInfo> tensors, Map<String, String> metadata, String sha256) {
    this.tensors = tensors;
    this.metadata = metadata;
    this.sha256 = sha256;
  }

  /**
   * Reads the header from the start of {@code in}, which is left behind the header.
   *
   * @param file how messages name the file
   * @param fileBytes length of the whole file
   * @throws InputException if the header breaks any rule of the format
   * @throws IOException if reading fails
   */
  public static SafetensorsHeader read(String file, long fileBytes, InputStream in)
      throws IOException {
    return read(file, fileBytes, in, HeaderParser.MAX_TENSORS);
  }

  static SafetensorsHeader read(String file, long fileBytes, InputStream in, int maxTensors)
      throws IOException {
    if (fileBytes < LENGTH_BYTES) {
      throw bad(file, "the file has %d bytes, a header length takes 8".formatted(fileBytes));
    }
    byte[] prefix = in.readNBytes(LENGTH_BYTES);
    if (prefix.length < LENGTH_BYTES) {
      throw new EOFException(file + " ended within its first 8 bytes");
    }
    long length = ByteBuffer.wrap(prefix).order(ByteOrder.LITTLE_ENDIAN).getLong();
    if (length < 0 || length > MAX_HEADER_BYTES) {
      throw bad(
          file,
          "the header claims %s bytes, the limit is %,d"
              .formatted(Long.toUnsignedString(length), MAX_HEADER_BYTES));
    }
    long dataStart = LENGTH_BYTES + length;
    if (dataStart > fileBytes) {
      throw bad(
          file,
          "the header claims %d bytes, but the file has only %d".formatted(length, fileBytes));
    }
    byte[] json = readFully(file, in, (int) length);
    HeaderParser parser = new HeaderParser(file, maxTensors);
    parser.parse(json);
    Map<String, TensorInfo> tensors =
        placed(file, parser.tensors(), dataStart, fileBytes - dataStart);
    return new SafetensorsHeader(
        Collections.unmodifiableMap(tensors),
        Collections.unmodifiableMap(parser.metadata()),
        digest(prefix, json));
  }

  /** Tensors by name, in the order of the header. */
  public Map<String, TensorInfo> tensors() {
    return tensors;
  }

  /** The free-form {@code __metadata__}. */
  public Map<String, String> metadata() {
    return metadata;
  }

  /** SHA-256 of the header's length field and JSON, in hex. */
  public String sha256() {
    return sha256;
  }

  private static byte[] readFully(String file, InputStream in, int length) throws IOException {
    byte[] json = new byte[Math.min(length, CHUNK)];
    int read = 0;
    while (read < length) {
      if (read == json.length) {
        json = Arrays.copyOf(json, (int) Math.min(length, 2L * json.length));
      }
      int got = in.readNBytes(json, read, json.length - read);
      if (got == 0) {
        throw new EOFException("%s ended %d bytes early".formatted(file, length - read));
      }
      read += got;
    }
    return json;
  }

  /** Moves offsets to file positions and refuses overlaps, holes and what the file cannot hold. */
  private static Map<String, TensorInfo> placed(
      String file, Map<String, TensorInfo> relative, long dataStart, long dataBytes) {
    List<TensorInfo> inOrder = new ArrayList<>(relative.values());
    inOrder.sort(Comparator.comparingLong(TensorInfo::begin).thenComparingLong(TensorInfo::end));
    long filled = 0;
    for (TensorInfo tensor : inOrder) {
      String name = Quoted.of(tensor.name());
      if (tensor.end() > dataBytes) {
        throw bad(
            file,
            "tensor %s ends at byte %d of the data, but only %d are there (truncated?)"
                .formatted(name, tensor.end(), dataBytes));
      }
      if (tensor.begin() < filled) {
        throw bad(
            file,
            "tensor %s begins at byte %d of the data and overlaps another that ends at %d"
                .formatted(name, tensor.begin(), filled));
      }
      if (tensor.begin() > filled) {
        throw bad(
            file,
            "bytes %d to %d of the data, before tensor %s, belong to no tensor; holes are forbidden"
                .formatted(filled, tensor.begin(), name));
      }
      filled = tensor.end();
    }
    if (filled != dataBytes) {
      throw bad(
          file,
          "the tensors fill %d bytes of data, but the file has %d".formatted(filled, dataBytes));
    }
    Map<String, TensorInfo> placed = LinkedHashMap.newLinkedHashMap(relative.size());
    relative.forEach(
        (name, t) ->
            placed.put(
                name,
                new TensorInfo(
                    name, t.dtype(), t.shape(), dataStart + t.begin(), dataStart + t.end())));
    return placed;
  }

  private static String digest(byte[] prefix, byte[] json) {
    try {
      MessageDigest sha = MessageDigest.getInstance("SHA-256");
      sha.update(prefix);
      sha.update(json);
      return HexFormat.of().formatHex(sha.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  private static InputException bad(String file, String what) {
    return new InputException(
        "%s: %s; the file is damaged or not safetensors, fetch it again".formatted(file, what));
  }
}
