package org.sparkmoe.job.cli;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.sparkmoe.datasets.checkpoint.write.TensorError;
import org.sparkmoe.job.plan.Amounts;

/** What quantizing cost each weight, as a table and as a file. */
final class WeightErrors {
  private final List<TensorError> errors = new ArrayList<>();

  void add(TensorError error) {
    errors.add(error);
  }

  /** A line for each projection and one for the worst weight. */
  List<String> table() {
    Map<String, List<TensorError>> byProjection = new LinkedHashMap<>();
    for (TensorError error : errors) {
      byProjection.computeIfAbsent(error.projection(), name -> new ArrayList<>()).add(error);
    }
    List<String> lines = new ArrayList<>();
    lines.add("projection     weights   relative error (L2)     largest");
    lines.add("                           median       max    difference");
    byProjection.forEach((projection, some) -> lines.add(row(projection, some)));
    errors.stream()
        .max(Comparator.comparingDouble(error -> error.error().relative()))
        .ifPresent(
            worst ->
                lines.add(
                    String.format(
                        Locale.ROOT,
                        "worst    %s, %.3g",
                        worst.weight(),
                        worst.error().relative())));
    return lines;
  }

  private static String row(String projection, List<TensorError> errors) {
    double[] relative =
        errors.stream().mapToDouble(error -> error.error().relative()).sorted().toArray();
    int middle = relative.length / 2;
    double median =
        relative.length % 2 == 1 ? relative[middle] : (relative[middle - 1] + relative[middle]) / 2;
    double largest =
        errors.stream().mapToDouble(error -> error.error().largest()).max().orElseThrow();
    return String.format(
        Locale.ROOT,
        "%-12s%10s%12.3g%10.3g%14.3g",
        projection,
        Amounts.count(relative.length),
        median,
        relative[relative.length - 1],
        largest);
  }

  /** Lines of a file of comma-separated values, the names of its columns first. */
  List<String> csv() {
    List<String> lines = new ArrayList<>();
    lines.add("layer,projection,weight,rows,cols,relative_error,largest_difference");
    for (TensorError error : errors) {
      lines.add(
          "%d,%s,\"%s\",%d,%d,%s,%s"
              .formatted(
                  error.layer(),
                  error.projection(),
                  error.weight().replace("\"", "\"\""),
                  error.rows(),
                  error.cols(),
                  error.error().relative(),
                  error.error().largest()));
    }
    return lines;
  }
}
