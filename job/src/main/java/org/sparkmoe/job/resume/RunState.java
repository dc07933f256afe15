package org.sparkmoe.job.resume;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.sparkmoe.datasets.tokens.DataFile;
import org.sparkmoe.job.resume.Fingerprint.Chosen;

/**
 * What a run decided once. Where this is written, the run can be gone on with.
 *
 * @param format of the state's files; others are not read
 * @param fingerprint what the run is made of
 * @param input the files behind the fingerprint's input
 * @param chosen what the request left open
 * @param units number of units
 * @param splits how the input is cut into partitions
 */
public record RunState(
    int format,
    Fingerprint fingerprint,
    List<DataFile> input,
    Chosen chosen,
    int units,
    Splits splits) {
  /** The format that is written. */
  public static final int FORMAT = 1;

  /**
   * How an input is cut into partitions.
   *
   * @param settings of Spark that the cut comes from
   * @param partitions their number
   * @param digest of what each of them reads
   */
  public record Splits(Map<String, String> settings, int partitions, String digest) {}

  /** As {@link Fingerprint#difference}, naming the first file that differs. */
  Optional<String> difference(Fingerprint now, List<DataFile> files) {
    return now.difference(fingerprint)
        .map(
            found ->
                found.startsWith("the " + Fingerprint.INPUT) ? file(files).orElse(found) : found);
  }

  private Optional<String> file(List<DataFile> now) {
    Map<String, DataFile> earlier = new HashMap<>();
    input.forEach(file -> earlier.put(file.path(), file));
    for (DataFile file : now) {
      DataFile before = earlier.remove(file.path());
      if (before == null) {
        return Optional.of("input file %s was not there before".formatted(file.path()));
      }
      if (!before.equals(file)) {
        return Optional.of("input file %s has changed since".formatted(file.path()));
      }
    }
    return earlier.keySet().stream()
        .sorted()
        .findFirst()
        .map("input file %s is no longer there"::formatted);
  }
}
