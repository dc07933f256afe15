/**
 * Writes quantized checkpoints in the layout of the Hugging Face hub.
 *
 * <p>{@link org.sparkmoe.datasets.checkpoint.write.CheckpointQuantizer} is the whole of it: the
 * model is planned as a list of parts whose sizes are known, parts are spread over shards, and each
 * shard is written front to back while its parts are made ahead by all processors.
 */
package org.sparkmoe.datasets.checkpoint.write;
