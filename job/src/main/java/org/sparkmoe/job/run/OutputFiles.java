package org.sparkmoe.job.run;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.job.run.FinishedUnit.Part;

/**
 * Where units write their outputs: each into a folder of its own, from which its files move to
 * {@code outputs/} when all are there, numbered in the order of units. A single unit writes there
 * directly.
 */
final class OutputFiles {
  private static final String TABLE = "outputs";
  private static final Pattern PART = Pattern.compile("part-\\d+(.*)");

  private final RunDirectory directory;
  private final int units;

  OutputFiles(RunDirectory directory, int units) {
    this.directory = directory;
    this.units = units;
  }

  /** An empty place for the outputs of {@code unit}. */
  String fresh(int unit) {
    return directory.fresh(folder(unit));
  }

  /** The files that {@code unit} has written. */
  List<Part> written(int unit) {
    List<Part> parts = new ArrayList<>();
    directory.list(folder(unit)).forEach((name, bytes) -> parts.add(new Part(name, bytes)));
    return parts;
  }

  /**
   * Makes sure that all files of {@code unit} are still there, moved or not.
   *
   * @param earlier the units before it
   * @throws InputException where one is missing or has another length
   */
  void require(FinishedUnit unit, List<FinishedUnit> earlier) {
    Map<String, Long> own = directory.list(folder(unit.unit()));
    Map<String, Long> moved = directory.list(TABLE);
    int number = earlier.stream().mapToInt(before -> before.files().size()).sum();
    for (Part part : unit.files()) {
      Long bytes = own.getOrDefault(part.name(), moved.get(numbered(part.name(), number++)));
      if (bytes == null || bytes != part.bytes()) {
        throw new InputException(
            "%s of an unfinished run is missing or damaged; remove that run's folder, or run without --resume"
                .formatted(directory.table(folder(unit.unit()) + "/" + part.name())));
      }
    }
  }

  /** Moves all files to {@code outputs/}; what an interrupted driver has moved stays. */
  void collect(List<FinishedUnit> finished) {
    if (units == 1) {
      return;
    }
    Map<String, Long> moved = directory.list(TABLE);
    int number = 0;
    for (FinishedUnit unit : finished) {
      for (Part part : unit.files()) {
        String name = numbered(part.name(), number++);
        if (!moved.containsKey(name)) {
          directory.move(folder(unit.unit()) + "/" + part.name(), TABLE + "/" + name);
        }
      }
    }
    // as Spark marks a table that it wrote
    directory.write(TABLE + "/_SUCCESS", "");
    directory.fresh("units");
  }

  private String folder(int unit) {
    return units == 1 ? TABLE : String.format(Locale.ROOT, "units/%05d", unit);
  }

  private static String numbered(String name, int number) {
    Matcher part = PART.matcher(name);
    return part.matches() ? String.format(Locale.ROOT, "part-%05d%s", number, part.group(1)) : name;
  }
}
