/**
 * One tensor of a safetensors file as a table of token activations, {@code
 * spark.read().format("moe-safetensors").load("file.safetensors#tensor.name")}.
 *
 * <p>Rows are numbered from 0 over all leading dimensions; the last dimension is the hidden state,
 * given as the bytes that the file has.
 */
package org.sparkmoe.datasets.tensor;
