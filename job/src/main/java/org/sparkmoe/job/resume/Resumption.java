package org.sparkmoe.job.resume;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.tokens.DataFile;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.resume.Fingerprint.Chosen;
import org.sparkmoe.kernels.backend.BackendSelector;

/** What {@code --resume} and {@code --run-id} come to for one request. */
public final class Resumption {
  private final FileSystem files;
  private final Path target;
  private final JobRequest request;
  private final Fingerprint fingerprint;
  private final List<DataFile> input;

  /** The cases. */
  public sealed interface Decision {
    /** There is nothing to go on with. */
    record Afresh() implements Decision {}

    /** The run is there already. */
    record Finished(Counts counts) implements Decision {}

    /** The run is computed, and was being put in its place when its driver was interrupted. */
    record PutInPlace(Path staging, Counts counts) implements Decision {}

    /** An unfinished run is to be gone on with. */
    record GoOn(Path staging, RunState state) implements Decision {

      /** {@code request} with nothing left to choose. */
      public JobRequest pinned(JobRequest request) {
        Chosen chosen = state.chosen();
        return request
            .with(
                BackendSelector.Request.parse(chosen.backend()),
                DispatchMode.valueOf(chosen.dispatch().toUpperCase(Locale.ROOT)),
                chosen.lanes() == 0 ? OptionalInt.empty() : OptionalInt.of(chosen.lanes()))
            .withUnits(
                new JobRequest.Units(
                    chosen.unitTokens() == 0
                        ? OptionalLong.empty()
                        : OptionalLong.of(chosen.unitTokens()),
                    true,
                    request.units().runId()));
      }
    }
  }

  /**
   * What the manifest of a run says of it.
   *
   * @param rows rows that it read
   * @param errors of them that could not be scored
   * @param seconds that it took
   */
  public record Counts(long rows, long errors, double seconds) {
    private static Counts of(JsonNode manifest) {
      JsonNode counts = manifest.path("counts");
      return new Counts(
          counts.path("rows").asLong(),
          counts.path("errors").asLong(),
          manifest.path("seconds").asDouble());
    }
  }

  /** How a candidate compares. */
  private record Refusal(String reason, boolean alive) {}

  private Resumption(
      FileSystem files,
      Path target,
      JobRequest request,
      Fingerprint fingerprint,
      List<DataFile> input) {
    this.files = files;
    this.target = target;
    this.request = request;
    this.fingerprint = fingerprint;
    this.input = input;
  }

  /**
   * Looks at what is at the output of {@code request} and beside it.
   *
   * @param input files of the input now
   * @throws InputException where a run is there that was made of something else, or whose driver is
   *     still alive, or that cannot be read
   */
  public static Decision decide(
      FileSystem files, JobRequest request, Fingerprint fingerprint, List<DataFile> input) {
    Path target = files.makeQualified(new Path(request.output()));
    try {
      return new Resumption(files, target, request, fingerprint, input).decide();
    } catch (IOException e) {
      throw new InputException(
          "output %s cannot be looked at: %s".formatted(request.output(), e.getMessage()), e);
    }
  }

  private Decision decide() throws IOException {
    Optional<Decision> finished = finished();
    if (finished.isPresent()) {
      return finished.get();
    }
    if (!request.units().resume()) {
      return new Decision.Afresh();
    }
    Refusal refusal = null;
    for (UnfinishedRun run : UnfinishedRun.beside(files, target)) {
      if (!run.resumable()) {
        if (run.left().isPresent()) {
          refusal = new Refusal(alive(run), true);
        } else {
          // it was interrupted before anything in it could be used
          files.delete(run.staging(), true);
        }
        continue;
      }
      try {
        RunState state = state(run);
        Optional<String> difference = difference(state);
        if (difference.isPresent()) {
          refusal = refusal == null ? differs(run, difference.get()) : refusal;
        } else if (run.left().isPresent()) {
          refusal = new Refusal(alive(run), true);
        } else if (run.committing()) {
          Optional<JsonNode> manifest = manifest(run.staging());
          if (manifest.isPresent()) {
            return new Decision.PutInPlace(run.staging(), Counts.of(manifest.get()));
          }
          // it was in its place, and went away from there since
          files.delete(run.staging(), true);
        } else {
          return new Decision.GoOn(run.staging(), state);
        }
      } catch (InputException e) {
        refusal = refusal == null ? new Refusal(e.getMessage(), false) : refusal;
      }
    }
    if (refusal != null && (refusal.alive() || !request.overwrite())) {
      throw new InputException(refusal.reason());
    }
    return new Decision.Afresh();
  }

  private RunState state(UnfinishedRun run) {
    RunState state =
        StateFolder.of(files, run.staging())
            .read(UnfinishedRun.STATE, RunState.class)
            .orElseThrow(() -> new InputException(run.staging() + " went away; try again"));
    if (state.format() != RunState.FORMAT) {
      throw new InputException(
          "the unfinished run in %s has format %d, this version reads %d; remove it, or run without --resume"
              .formatted(run.staging(), state.format(), RunState.FORMAT));
    }
    return state;
  }

  private Optional<String> difference(RunState state) {
    return state.difference(fingerprint, input).or(() -> state.chosen().contradiction(request));
  }

  private static Refusal differs(UnfinishedRun run, String difference) {
    return new Refusal(
        "the unfinished run in %s differs: %s; give what it was started with, or run without --resume"
            .formatted(run.staging(), difference),
        false);
  }

  private static String alive(UnfinishedRun run) {
    Duration left = run.left().orElseThrow();
    return "the run in %s seems to be at work: its driver was heard of less than a minute ago; end it, or come again in %d s"
        .formatted(run.staging(), left.toSeconds() + 1);
  }

  /** The run at the output itself, where there is one. */
  private Optional<Decision> finished() throws IOException {
    JsonNode manifest;
    try {
      Optional<JsonNode> found = manifest(target);
      if (found.isEmpty()) {
        return Optional.empty();
      }
      manifest = found.get();
    } catch (JsonProcessingException e) {
      return different("its manifest cannot be read");
    }
    Optional<String> runId = request.units().runId();
    String made = manifest.path("run_id").asText();
    if (runId.isPresent() && !runId.get().equals(made)) {
      return different(
          made.isEmpty()
              ? "it has no --run-id, this one is " + runId.get()
              : "it is --run-id %s, this one is %s".formatted(made, runId.get()));
    }
    return finished(manifest);
  }

  private Optional<Decision> finished(JsonNode manifest) {
    Optional<String> difference;
    try {
      ObjectMapper json = new ObjectMapper();
      Fingerprint made = json.treeToValue(manifest.path("fingerprint"), Fingerprint.class);
      Chosen chosen = json.treeToValue(manifest.path("chosen"), Chosen.class);
      if (made == null || chosen == null) {
        return different("its manifest has no fingerprint");
      }
      difference = fingerprint.difference(made).or(() -> chosen.contradiction(request));
    } catch (JsonProcessingException | NullPointerException e) {
      return different("its manifest cannot be read");
    }
    if (difference.isPresent()) {
      return different(difference.get());
    }
    return Optional.of(new Decision.Finished(Counts.of(manifest)));
  }

  private Optional<JsonNode> manifest(Path run) throws IOException {
    try (InputStream in = files.open(new Path(run, "manifest.json"))) {
      return Optional.of(new ObjectMapper().readTree(in.readAllBytes()));
    } catch (FileNotFoundException e) {
      return Optional.empty();
    }
  }

  private Optional<Decision> different(String difference) {
    if (request.overwrite()) {
      return Optional.empty();
    }
    throw new InputException(
        "output %s holds another run: %s; add --overwrite to replace it, or name another folder"
            .formatted(request.output(), difference));
  }
}
