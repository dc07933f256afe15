/**
 * The feed-forward networks of a layer: {@link org.sparkmoe.kernels.experts.ExpertKernel} computes
 * one expert, {@link org.sparkmoe.kernels.experts.FusedExperts} all experts of a lane over a batch.
 */
package org.sparkmoe.kernels.experts;
