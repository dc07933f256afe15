package org.sparkmoe.job.resume;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;

/**
 * The process of a driver, so that another one on the same machine can see whether it has ended.
 *
 * @param machine names the boot of the machine and the space of its process ids; empty where the
 *     system does not tell
 * @param pid in that space
 * @param started in milliseconds since 1970, because ids are used again; 0 where not known
 */
record DriverProcess(String machine, long pid, long started) {

  /** This process. */
  static DriverProcess current() {
    ProcessHandle self = ProcessHandle.current();
    return new DriverProcess(thisMachine(), self.pid(), started(self));
  }

  /** Whether it is certain that it has ended. */
  boolean hasEnded() {
    if (machine.isEmpty() || !machine.equals(thisMachine())) {
      return false;
    }
    return ProcessHandle.of(pid)
        .map(process -> !process.isAlive() || started(process) != started)
        .orElse(true);
  }

  private static long started(ProcessHandle process) {
    return process.info().startInstant().map(Instant::toEpochMilli).orElse(0L);
  }

  /** Containers of one machine have process ids of their own, and may have one host name. */
  private static String thisMachine() {
    try {
      return Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).strip()
          + " "
          + Files.readSymbolicLink(Path.of("/proc/self/ns/pid"));
    } catch (IOException | UnsupportedOperationException e) {
      return "";
    }
  }
}
