package org.sparkmoe.datasets.arrow;

import java.io.Serializable;

/**
 * Where one record batch lies in its file: the metadata, its length prefix included, and right
 * after it the body.
 */
record BatchBlock(long offset, int metadataLength, long bodyLength) implements Serializable {

  long bodyOffset() {
    return offset + metadataLength;
  }

  long bytes() {
    return metadataLength + bodyLength;
  }
}
