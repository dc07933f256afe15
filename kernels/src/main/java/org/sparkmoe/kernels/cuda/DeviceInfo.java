package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * A GPU and its driver, as they say themselves.
 *
 * @param ordinal number among the GPUs that the process sees
 * @param name of the model
 * @param major of the compute capability
 * @param minor of the compute capability
 * @param multiprocessors how many blocks can run beside each other, at least
 * @param bytes of memory
 * @param driver CUDA version of the driver: 1000 · major + 10 · minor
 */
record DeviceInfo(
    int ordinal, String name, int major, int minor, int multiprocessors, long bytes, int driver) {
  private static final int MULTIPROCESSOR_COUNT = 16;
  private static final int COMPUTE_CAPABILITY_MAJOR = 75;
  private static final int COMPUTE_CAPABILITY_MINOR = 76;
  private static final int LEAST_MAJOR = 8;

  /** CUDA version that reads the PTX of our kernels, ISA 7.0. */
  private static final int LEAST_DRIVER = 11000;

  /** CUDA version that reads the PTX of the kernels for Hopper, ISA 8.3. */
  private static final int LEAST_HOPPER_DRIVER = 12030;

  private static final int NAME_BYTES = 256;

  /**
   * Asks the driver, which is initialized.
   *
   * @throws CudaException where there is no GPU of that number
   */
  static DeviceInfo of(Driver driver, int ordinal) {
    CudaBindings cuda = driver.bindings();
    int version = driver.query("cuDriverGetVersion", cuda.driverGetVersion());
    int count = driver.query("cuDeviceGetCount", cuda.deviceGetCount());
    if (ordinal < 0 || ordinal >= count) {
      throw new CudaException(
          "GPU %d was asked for and %s; set -D%s to one of them, or let Spark give tasks others"
              .formatted(
                  ordinal,
                  count == 0 ? "there is none" : "there are 0 to " + (count - 1),
                  Gpu.DEVICE_PROPERTY));
    }
    int device = driver.query("cuDeviceGet", cuda.deviceGet(), ordinal);
    return new DeviceInfo(
        device,
        name(driver, device),
        attribute(driver, device, COMPUTE_CAPABILITY_MAJOR),
        attribute(driver, device, COMPUTE_CAPABILITY_MINOR),
        attribute(driver, device, MULTIPROCESSOR_COUNT),
        bytes(driver, device),
        version);
  }

  /** Why our kernels do not run on it, or empty where they do. */
  Optional<String> refusal() {
    if (major < LEAST_MAJOR) {
      return Optional.of(
          "GPU %d, %s, has compute capability %d.%d, at least %d.0 is needed; use onednn or vector"
              .formatted(ordinal, name, major, minor, LEAST_MAJOR));
    }
    if (driver < LEAST_DRIVER) {
      return Optional.of(
          "the NVIDIA driver is for CUDA %s, at least %s is needed; install driver 450 or later"
              .formatted(version(driver), version(LEAST_DRIVER)));
    }
    return Optional.empty();
  }

  /** Whether it multiplies matrices of f64 faster than single numbers. */
  boolean hasTensorCoresForF64() {
    return minor == 0 && (major == 8 || major == 9);
  }

  /** Whether the kernels run that only compute capability 9.0 runs. */
  boolean isHopper() {
    return major == 9 && minor == 0 && driver >= LEAST_HOPPER_DRIVER;
  }

  @Override
  public String toString() {
    return "GPU %d, %s, compute capability %d.%d, %.1f GiB, driver for CUDA %s"
        .formatted(ordinal, name, major, minor, bytes / (double) (1 << 30), version(driver));
  }

  private static String version(int version) {
    return "%d.%d".formatted(version / 1000, version % 1000 / 10);
  }

  private static String name(Driver driver, int device) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment name = arena.allocate(NAME_BYTES);
      driver.call("cuDeviceGetName", driver.bindings().deviceGetName(), name, NAME_BYTES, device);
      return name.getString(0);
    }
  }

  private static int attribute(Driver driver, int device, int attribute) {
    return driver.query(
        "cuDeviceGetAttribute", driver.bindings().deviceGetAttribute(), attribute, device);
  }

  private static long bytes(Driver driver, int device) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(JAVA_LONG);
      driver.call("cuDeviceTotalMem_v2", driver.bindings().deviceTotalMem(), bytes, device);
      return bytes.get(JAVA_LONG, 0);
    }
  }
}
