package org.sparkmoe.job.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.tokens.DataFile;
import org.sparkmoe.datasets.tokens.DataFiles;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.job.resume.Fingerprint;
import org.sparkmoe.job.resume.Resumption;
import org.sparkmoe.job.resume.Resumption.Decision;
import org.sparkmoe.job.resume.Resumption.Decision.GoOn;
import org.sparkmoe.job.resume.UnfinishedRun;

/** The command's side of unfinished runs. */
final class Resuming {
  private Resuming() {}

  /** What {@code --resume} and {@code --run-id} come to. */
  static Decision decide(Planner planner, TokenTable table, Configuration hadoop) {
    JobRequest request = planner.request();
    List<DataFile> input = DataFiles.of(table.path(), table.format(), hadoop);
    return Resumption.decide(
        files(request.output(), hadoop),
        request,
        Fingerprint.of(request, planner.layer(), input),
        input);
  }

  /** What to say of unfinished runs before the start: the one gone on with, or those let alone. */
  static List<String> notes(String output, Optional<GoOn> earlier, Configuration hadoop) {
    if (earlier.isPresent()) {
      return List.of("resume   " + plain(earlier.get().staging()));
    }
    FileSystem files = files(output, hadoop);
    List<String> notes = new ArrayList<>();
    try {
      for (UnfinishedRun run : UnfinishedRun.beside(files, files.makeQualified(new Path(output)))) {
        if (run.left().isPresent()) {
          notes.add("note     another run for this output is at work in " + plain(run.staging()));
        } else if (run.resumable()) {
          notes.add(
              "note     an unfinished run for this output is in %s: --resume goes on with it"
                  .formatted(plain(run.staging())));
        }
      }
    } catch (IOException e) {
      throw unusable(output, e);
    }
    return notes;
  }

  private static FileSystem files(String output, Configuration hadoop) {
    try {
      return new Path(output).getFileSystem(hadoop);
    } catch (IOException | IllegalArgumentException e) {
      throw unusable(output, e);
    }
  }

  private static InputException unusable(String output, Exception e) {
    return new InputException("output %s cannot be used: %s".formatted(output, e.getMessage()), e);
  }

  /** A path as people write it. */
  static String plain(Path path) {
    return path.toUri().getScheme().equals("file") ? path.toUri().getPath() : path.toString();
  }
}
