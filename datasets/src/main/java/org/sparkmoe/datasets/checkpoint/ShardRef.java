package org.sparkmoe.datasets.checkpoint;

import java.io.Serializable;

/**
 * A shard as it was when the layer was planned.
 *
 * @param name of the file within the checkpoint's folder
 * @param size bytes of the file
 * @param headerSha256 SHA-256 of its header (length field and JSON), in hex
 */
public record ShardRef(String name, long size, String headerSha256) implements Serializable {}
