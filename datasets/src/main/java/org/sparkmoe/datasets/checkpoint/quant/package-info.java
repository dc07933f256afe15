/**
 * How the weight of a linear map lies in a checkpoint's tensors, format by format, and how it is
 * brought into the one form that kernels take: codes row-major with the lower column in the lower
 * half of a byte, a grid of scales, zero points beside them.
 */
package org.sparkmoe.datasets.checkpoint.quant;
