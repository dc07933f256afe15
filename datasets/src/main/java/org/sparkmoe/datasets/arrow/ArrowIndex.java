package org.sparkmoe.datasets.arrow;

import java.util.List;
import org.apache.arrow.vector.types.pojo.Schema;

/** What is known of a file before any of its data is read. */
record ArrowIndex(String path, long length, Schema schema, List<BatchBlock> batches) {}
