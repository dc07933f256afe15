package org.sparkmoe.job.resume;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

final class LeaseTest {
  @TempDir private java.nio.file.Path folder;

  private FileSystem files;
  private StateFolder state;
  private java.nio.file.Path heartbeat;

  @BeforeEach
  void open() throws IOException {
    files = FileSystem.getLocal(new Configuration());
    state = StateFolder.of(files, new Path(folder.toString()));
    state.create();
    heartbeat = folder.resolve(".resume/heartbeat");
  }

  @Test
  void whoHoldsItIsLeftAlone() throws IOException {
    assertThat(Lease.left(files, state)).isEmpty();
    try (Lease lease = Lease.take(files, state)) {
      assertThat(Lease.left(files, state).orElseThrow())
          .isBetween(Duration.ofSeconds(1), Duration.ofMinutes(1));
      lease.require();
    }
    assertThat(Lease.left(files, state)).isEmpty();
    assertThat(heartbeat).doesNotExist();
  }

  @Test
  void whoIsNotHeardOfForAMinuteIsTakenForDead() throws IOException {
    try (Lease lease = Lease.take(files, state)) {
      Files.setLastModifiedTime(
          heartbeat, FileTime.from(Instant.now().minus(Duration.ofSeconds(61))));
      assertThat(Lease.left(files, state)).isEmpty();
      Files.setLastModifiedTime(
          heartbeat, FileTime.from(Instant.now().minus(Duration.ofSeconds(31))));
      assertThat(Lease.left(files, state).orElseThrow())
          .isBetween(Duration.ofSeconds(1), Duration.ofSeconds(30));
      // it is alive after all, and says so
      lease.require();
      assertThat(Lease.left(files, state).orElseThrow()).isGreaterThan(Duration.ofSeconds(31));
    }
  }

  @Test
  void aProcessOfThisMachineThatHasEndedIsDeadAtOnce() throws IOException {
    DriverProcess self = DriverProcess.current();
    assertThat(self.hasEnded()).isFalse();
    DriverProcess reused = new DriverProcess(self.machine(), self.pid(), self.startTicks() - 1);
    DriverProcess elsewhere = new DriverProcess("another", self.pid(), self.startTicks() - 1);
    DriverProcess unknown = new DriverProcess("", self.pid(), self.startTicks() - 1);
    assertThat(reused.hasEnded()).isEqualTo(!self.machine().isEmpty());
    assertThat(elsewhere.hasEnded()).isFalse();
    assertThat(unknown.hasEnded()).isFalse();
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void aProcessOfAnotherMachineIsNotLookedFor() throws Exception {
    Process process = new ProcessBuilder("sleep", "60").start();
    DriverProcess driver = DriverProcess.of(process.pid());
    assertThat(driver.hasEnded()).isFalse();
    process.destroyForcibly().waitFor();
    assertThat(driver.hasEnded()).isTrue();
    assertThat(driver.hasEnded("another")).isFalse();
    assertThat(driver.hasEnded("")).isFalse();
    DriverProcess unknown = new DriverProcess("", driver.pid(), driver.startTicks());
    assertThat(unknown.hasEnded("")).isFalse();
  }

  /** As in a container whose first process waits for none that it inherits. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void aProcessThatNobodyWaitsForIsDead() throws Exception {
    ProcessBuilder parent = new ProcessBuilder("sh", "-c", "sleep 1 & echo $!; exec sleep 60");
    Process waitsForNothing = parent.start();
    try (BufferedReader output = waitsForNothing.inputReader()) {
      long pid = Long.parseLong(output.readLine());
      DriverProcess child = DriverProcess.of(pid);
      assertThat(child.startTicks()).isPositive();
      for (int i = 0; i < 300 && !child.hasEnded(); i++) {
        Thread.sleep(100);
      }
      assertThat(child.hasEnded()).isTrue();
      assertThat(ProcessHandle.of(pid)).as("still listed").isPresent();
    } finally {
      waitsForNothing.destroyForcibly();
    }
  }

  @Test
  void anUnreadableHeartbeatCountsByItsTime() throws IOException {
    Files.writeString(heartbeat, "{\"tok");
    assertThat(Lease.left(files, state)).isPresent();
    Files.setLastModifiedTime(heartbeat, FileTime.from(Instant.now().minus(Duration.ofHours(1))));
    assertThat(Lease.left(files, state)).isEmpty();
  }

  @Test
  void whoLostTheFolderIsToldAndMakesItNotAnew() throws IOException {
    java.nio.file.Path moved = folder.resolveSibling(folder.getFileName() + "-moved");
    try (Lease lease = Lease.take(files, state)) {
      Files.move(folder, moved);
      assertThatIllegalStateException()
          .isThrownBy(lease::require)
          .withMessageContaining("another driver has taken over");
      assertThatThrownBy(() -> state.write("unit.json", 1)).isInstanceOf(Exception.class);
      assertThat(folder).doesNotExist();
    } finally {
      Files.move(moved, folder);
    }
  }

  @Test
  void whoseFolderAnotherHoldsIsTold() throws IOException {
    Lease first = Lease.take(files, state);
    try (Lease second = Lease.take(files, state)) {
      second.require();
      assertThatIllegalStateException().isThrownBy(first::require);
      first.close();
      second.require();
    }
  }
}
