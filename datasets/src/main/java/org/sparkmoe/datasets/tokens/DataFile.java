package org.sparkmoe.datasets.tokens;

/**
 * A file of the input as it is now.
 *
 * @param path with its file system
 * @param bytes its length
 * @param modified when it was last written, in milliseconds since 1970
 */
public record DataFile(String path, long bytes, long modified) {}
