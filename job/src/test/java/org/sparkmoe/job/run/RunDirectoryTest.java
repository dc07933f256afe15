package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.InputException;

final class RunDirectoryTest {
  @TempDir private Path folder;

  /** Local files that a staging folder cannot be renamed on. */
  public static final class Stubborn extends RawLocalFileSystem {
    @Override
    public boolean rename(org.apache.hadoop.fs.Path from, org.apache.hadoop.fs.Path to)
        throws IOException {
      return !from.getName().contains(".staging-") && super.rename(from, to);
    }
  }

  @Test
  void aCommitPutsTheRunInPlaceOfTheEarlierOne() throws IOException {
    Path run = Files.createDirectory(folder.resolve("run"));
    Files.writeString(run.resolve("old.txt"), "old");

    try (RunDirectory directory = RunDirectory.open(run.toString(), new Configuration())) {
      directory.write("manifest.json", "{}");
      assertThat(run.resolve("old.txt")).exists();
      directory.commit(true);
    }

    assertThat(run.resolve("manifest.json")).hasContent("{}");
    assertThat(run.resolve("old.txt")).doesNotExist();
    assertOnlyTheRun(run);
  }

  @Test
  void whatIsNotCommittedLeavesNothing() throws IOException {
    Path run = folder.resolve("run");

    try (RunDirectory directory = RunDirectory.open(run.toString(), new Configuration())) {
      directory.write("manifest.json", "{}");
    }

    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void aCommitThatFailsPutsTheEarlierRunBack() throws IOException {
    Configuration conf = new Configuration();
    conf.setClass("fs.file.impl", Stubborn.class, org.apache.hadoop.fs.FileSystem.class);
    conf.setBoolean("fs.file.impl.disable.cache", true);
    Path run = Files.createDirectory(folder.resolve("run"));
    Files.writeString(run.resolve("manifest.json"), "old");

    try (RunDirectory directory = RunDirectory.open(run.toString(), conf)) {
      directory.write("manifest.json", "new");
      assertThatThrownBy(() -> directory.commit(true))
          .isInstanceOf(UncheckedIOException.class)
          .hasMessageContaining("cannot rename");
    }

    assertThat(run.resolve("manifest.json")).hasContent("old");
    assertOnlyTheRun(run);
  }

  @Test
  void aRunThatAppearedMeanwhileStays() throws IOException {
    Path run = folder.resolve("run");
    try (RunDirectory directory = RunDirectory.open(run.toString(), new Configuration())) {
      Files.createDirectory(run);
      Files.writeString(run.resolve("manifest.json"), "other");
      assertThatThrownBy(() -> directory.commit(false))
          .isInstanceOf(InputException.class)
          .hasMessageContaining("appeared while the job ran; add --overwrite");
    }

    assertThat(run.resolve("manifest.json")).hasContent("other");
    assertOnlyTheRun(run);
  }

  private void assertOnlyTheRun(Path run) throws IOException {
    try (Stream<Path> left = Files.list(folder)) {
      assertThat(left).containsExactly(run);
    }
  }
}
