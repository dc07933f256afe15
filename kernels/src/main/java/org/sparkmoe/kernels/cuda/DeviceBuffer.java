package org.sparkmoe.kernels.cuda;

/** Memory on the GPU that grows and is used again; what was in it is lost when it grows. */
final class DeviceBuffer {
  private final Gpu gpu;
  private long address;
  private long bytes;

  DeviceBuffer(Gpu gpu) {
    this.gpu = gpu;
  }

  /** The address of at least {@code wanted} bytes. Nothing on the GPU uses the buffer meanwhile. */
  long of(long wanted) {
    if (wanted > bytes) {
      free();
      // Half as much again: batches that grow slowly do not allocate each time.
      address = gpu.allocate(wanted + wanted / 2);
      bytes = wanted + wanted / 2;
    }
    return address;
  }

  void free() {
    if (bytes > 0) {
      bytes = 0;
      gpu.free(address);
      address = 0;
    }
  }
}
