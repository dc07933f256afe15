package org.sparkmoe.job.resume;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.stream.Stream;

/**
 * The process of a driver, so that another one on the same machine can see whether it has ended.
 *
 * @param machine names the boot of the machine and the space of its process ids; empty where the
 *     system does not tell
 * @param pid in that space
 * @param startTicks when it was started, in clock ticks since that boot, because ids are used
 *     again; 0 where not known. Unlike the time of day, which Java tells, it stays what it is when
 *     the clock is set
 */
record DriverProcess(String machine, long pid, long startTicks) {
  /** Where fields of {@code proc_pid_stat(5)} stand behind the name, which may hold anything. */
  private static final int STATE = 0;

  private static final int START_TICKS = 19;

  /** This process. */
  static DriverProcess current() {
    return of(ProcessHandle.current().pid());
  }

  /** A process of this machine. */
  static DriverProcess of(long pid) {
    try {
      return new DriverProcess(thisMachine(), pid, Long.parseLong(stat(pid)[START_TICKS]));
    } catch (IOException e) {
      return new DriverProcess("", pid, 0);
    }
  }

  /** Whether it is certain that it has ended. One that nobody waited for has, too. */
  boolean hasEnded() {
    return hasEnded(thisMachine());
  }

  boolean hasEnded(String thisMachine) {
    if (machine.isEmpty() || !machine.equals(thisMachine)) {
      return false;
    }
    try {
      String[] stat = stat(pid);
      boolean dead = stat[STATE].equals("Z") || stat[STATE].equals("X");
      return dead || Long.parseLong(stat[START_TICKS]) != startTicks;
    } catch (NoSuchFileException e) {
      return !processesMayBeHidden();
    } catch (IOException e) {
      return false;
    }
  }

  private static String[] stat(long pid) throws IOException {
    String line = Files.readString(Path.of("/proc/" + pid + "/stat"));
    return line.substring(line.lastIndexOf(')') + 2).split(" ");
  }

  /** Whether {@code /proc} may not show processes of other users. */
  private static boolean processesMayBeHidden() {
    try (Stream<String> mounts = Files.lines(Path.of("/proc/self/mounts"))) {
      return mounts.anyMatch(mount -> mount.contains(" /proc ") && mount.contains("hidepid="));
    } catch (IOException e) {
      return true;
    }
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
