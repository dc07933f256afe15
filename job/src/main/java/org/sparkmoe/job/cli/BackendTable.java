package org.sparkmoe.job.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.ScaleType;
import org.sparkmoe.kernels.tensor.WeightFormat;

/** Which backend computes with weights in which format, for people. */
final class BackendTable {
  private static final int ALL = QuantFormat.ALL;

  private BackendTable() {}

  /** One example of each kind of weights that checkpoints hold, by the name people know. */
  private static Map<String, WeightFormat> kinds() {
    Map<String, WeightFormat> kinds = new LinkedHashMap<>();
    kinds.put("f32, bf16, f16", DType.BF16);
    kinds.put("FP8 per tensor", QuantFormat.of(CodeType.E4M3, ScaleType.F32, ALL, ALL));
    kinds.put("FP8 per channel", QuantFormat.of(CodeType.E4M3, ScaleType.F32, 1, ALL));
    kinds.put("FP8 in blocks", QuantFormat.of(CodeType.E4M3, ScaleType.F32, 128, 128));
    kinds.put("INT8 per tensor", QuantFormat.of(CodeType.INT8, ScaleType.F32, ALL, ALL));
    kinds.put("INT8 per channel", QuantFormat.of(CodeType.INT8, ScaleType.F32, 1, ALL));
    kinds.put("4 bits in groups", QuantFormat.of(CodeType.UINT4, ScaleType.BF16, 1, 128));
    kinds.put(
        "4 bits in groups, zero points",
        new QuantFormat(CodeType.UINT4, ScaleType.F16, 1, 128, true, false));
    kinds.put(
        "4 bits in groups, act-order",
        new QuantFormat(CodeType.UINT4, ScaleType.F16, 1, 128, true, true));
    kinds.put("8 bits in groups", QuantFormat.of(CodeType.UINT8, ScaleType.BF16, 1, 128));
    kinds.put(
        "8 bits per channel or in groups, zero points",
        new QuantFormat(CodeType.UINT8, ScaleType.F16, 1, 128, true, false));
    kinds.put(
        "8 bits in groups, act-order",
        new QuantFormat(CodeType.UINT8, ScaleType.F16, 1, 128, true, true));
    kinds.put("NVFP4", QuantFormat.of(CodeType.E2M1, ScaleType.E4M3, 1, 16));
    kinds.put("MXFP4", QuantFormat.of(CodeType.E2M1, ScaleType.E8M0, 1, 32));
    kinds.put("MXFP8", QuantFormat.of(CodeType.E4M3, ScaleType.E8M0, 1, 32));
    return kinds;
  }

  /** The table in Markdown, with the reasons of refusals below it. */
  static List<String> markdown() {
    List<String> lines = new ArrayList<>();
    Backend[] backends = Backend.values();
    lines.add(
        Stream.of(backends)
            .map(backend -> "`" + backend.option() + "`")
            .collect(Collectors.joining(" | ", "| weights | ", " |")));
    lines.add("|---".repeat(backends.length + 1) + "|");
    Set<String> reasons = new LinkedHashSet<>();
    kinds()
        .forEach(
            (name, format) -> {
              StringBuilder line = new StringBuilder("| " + name + " |");
              for (Backend backend : backends) {
                Optional<String> reason = backend.refusal(format);
                line.append(reason.isEmpty() ? " yes |" : " refused |");
                reason.ifPresent(
                    why ->
                        reasons.add(
                            "- `%s`: %s"
                                .formatted(backend.option(), why.replace(format.label(), "…"))));
              }
              lines.add(line.toString());
            });
    lines.add("");
    lines.addAll(reasons);
    return lines;
  }

  /** The backends that compute with all of {@code formats}, and why the others do not. */
  static List<String> of(List<WeightFormat> formats) {
    List<String> lines = new ArrayList<>();
    List<String> takers = new ArrayList<>();
    for (Backend backend : Backend.values()) {
      Optional<String> reason =
          formats.stream().flatMap(format -> backend.refusal(format).stream()).findFirst();
      if (reason.isEmpty()) {
        takers.add(backend.option());
      } else {
        lines.add("not " + backend.option() + ": " + reason.get());
      }
    }
    lines.addFirst(String.join(", ", takers));
    return lines;
  }
}
