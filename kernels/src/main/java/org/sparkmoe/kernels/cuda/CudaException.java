package org.sparkmoe.kernels.cuda;

/**
 * The CUDA driver did not do what it was called for. The message holds the call and its result by
 * name, number and text.
 */
public final class CudaException extends RuntimeException {
  private static final long serialVersionUID = 1;

  CudaException(String message) {
    super(message);
  }
}
