/**
 * NVIDIA GPUs through the driver's C interface: memory, copies and our own kernels, which are
 * shipped as PTX. Needs libcuda, which comes with the driver, and no toolkit. Nothing is loaded
 * before somebody asks for a GPU.
 */
package org.sparkmoe.kernels.cuda;
