package org.sparkmoe.job.resume;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * A staging folder beside an output, of a run that is under way or was interrupted.
 *
 * @param staging the folder
 * @param resumable whether it got so far that it can be gone on with
 * @param committing whether it is computed, and was being put in its place
 * @param left how long its driver has to be left alone; empty where it has ended
 */
public record UnfinishedRun(
    Path staging, boolean resumable, boolean committing, Optional<Duration> left) {
  /** The file that says how to go on. */
  public static final String STATE = "state.json";

  /** The file that says that the run is computed and is being put in its place. */
  public static final String COMMIT = "commit.json";

  /** A new name for a folder that is staged beside {@code target}. */
  public static Path newStaging(Path target) {
    return new Path(target.getParent(), prefix(target) + UUID.randomUUID());
  }

  /** All that are beside {@code target}, in order of their names. Changes nothing. */
  public static List<UnfinishedRun> beside(FileSystem files, Path target) throws IOException {
    List<UnfinishedRun> found = new ArrayList<>();
    FileStatus[] beside;
    try {
      beside =
          files.listStatus(target.getParent(), path -> path.getName().startsWith(prefix(target)));
    } catch (FileNotFoundException e) {
      return List.of();
    }
    for (FileStatus status : beside) {
      StateFolder state = StateFolder.of(files, status.getPath());
      if (status.isDirectory() && files.exists(state.folder())) {
        found.add(
            new UnfinishedRun(
                status.getPath(), state.has(STATE), state.has(COMMIT), Lease.left(files, state)));
      }
    }
    found.sort((a, b) -> a.staging().compareTo(b.staging()));
    return found;
  }

  private static String prefix(Path target) {
    return "." + target.getName() + ".staging-";
  }
}
