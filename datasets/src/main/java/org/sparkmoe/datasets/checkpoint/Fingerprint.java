package org.sparkmoe.datasets.checkpoint;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;

/** SHA-256 of what identifies a layer without reading its weights. */
final class Fingerprint {
  private Fingerprint() {}

  /**
   * Over the configuration's bytes, those of a second file where there is one, the layer's number,
   * and each shard's name, size and header.
   */
  static String of(byte[] config, byte[] secondOrNull, int layer, List<ShardRef> shards) {
    MessageDigest sha = sha256();
    sha.update(sha256().digest(config));
    if (secondOrNull != null) {
      sha.update(sha256().digest(secondOrNull));
    }
    StringBuilder rest = new StringBuilder().append(layer).append('\n');
    for (ShardRef shard : shards) {
      rest.append(shard.name()).append('\n');
      rest.append(shard.size()).append('\n');
      rest.append(shard.headerSha256()).append('\n');
    }
    return hex(sha, rest.toString());
  }

  /** SHA-256 of a text, in hex. */
  static String of(String text) {
    return hex(sha256(), text);
  }

  private static String hex(MessageDigest sha, String text) {
    return HexFormat.of().formatHex(sha.digest(text.getBytes(StandardCharsets.UTF_8)));
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }
}
