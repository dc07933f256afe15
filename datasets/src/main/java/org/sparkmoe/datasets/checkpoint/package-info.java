/**
 * Opens Hugging Face checkpoint folders: what family a model is, which of its layers are mixtures
 * of experts, and the tensors of one such layer as a value that travels to executors.
 *
 * <p>A family is found by the configuration's {@code model_type}; how its tensors are laid out is
 * read from their names and shapes. Whatever is not understood is refused by name. Semantics follow
 * the modeling sources of Hugging Face transformers 5.17 unless a class says otherwise.
 */
package org.sparkmoe.datasets.checkpoint;
