/** Dense matrix products {@code Y = X Wᵀ + b} with weights in their stored width. */
package org.sparkmoe.kernels.gemm;
