package org.sparkmoe.job.resume;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeSet;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.datasets.tokens.DataFile;
import org.sparkmoe.datasets.tokens.HiddenEncoding;
import org.sparkmoe.datasets.tokens.RowSelection;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobRequest;

/**
 * What a run was made of: two runs with equal values give the same rows.
 *
 * @param values by name: model, layer, input and every option that shows in the result
 */
public record Fingerprint(Map<String, String> values) {
  static final String INPUT = "input";
  private static final String MODEL = "model";
  private static final Set<String> HASHES = Set.of(MODEL, INPUT);

  public Fingerprint {
    values = new LinkedHashMap<>(values);
  }

  /** Of a request for {@code layer} whose input now consists of {@code input}. */
  public static Fingerprint of(JobRequest request, MoeLayer layer, List<DataFile> input) {
    TokenOptions tokens = request.tokens();
    Map<String, String> values = new LinkedHashMap<>();
    values.put("version", version());
    values.put(MODEL, layer.fingerprint());
    values.put("--layer", Integer.toString(layer.index()));
    values.put(INPUT, hash(input));
    values.put("--input", tensor(tokens.path()));
    values.put("--input-format", tokens.format().toString());
    values.put("--output-format", request.outputFormat().option());
    values.put("--token-id-column", tokens.tokenIdColumn());
    values.put("--hidden-column", tokens.hiddenColumn());
    values.put("--hidden-dtype", tokens.hiddenDtype().map(HiddenEncoding::nameOf).orElse("none"));
    values.put("--keep-columns", String.join(",", tokens.keepColumns()));
    RowSelection rows = tokens.rows();
    values.put("--since", rows.since().map(RowSelection.Since::toString).orElse("none"));
    values.put(
        "--sample",
        rows.sample().isPresent() ? Double.toString(rows.sample().getAsDouble()) : "none");
    values.put(
        "--limit", rows.limit().isPresent() ? Integer.toString(rows.limit().getAsInt()) : "none");
    values.put("--placement", request.placement().option());
    values.put(
        "--redundant-experts",
        request.redundantExperts().isPresent()
            ? Integer.toString(request.redundantExperts().getAsInt())
            : "none");
    values.put("--combine", request.reduction().option());
    values.put("--activation-quant", request.activationQuant().option());
    return new Fingerprint(values);
  }

  /**
   * The first thing in which {@code recorded} was made of something else than this, for people;
   * empty where nothing differs.
   */
  public Optional<String> difference(Fingerprint recorded) {
    Set<String> names = new TreeSet<>(values.keySet());
    names.addAll(recorded.values.keySet());
    return names.stream()
        .filter(
            name ->
                !values
                    .getOrDefault(name, "none")
                    .equals(recorded.values.getOrDefault(name, "none")))
        .findFirst()
        .map(
            name ->
                HASHES.contains(name)
                    ? "the %s is another, or has changed since".formatted(name)
                    : "%s was %s, now it is %s"
                        .formatted(
                            name,
                            recorded.values.getOrDefault(name, "none"),
                            values.getOrDefault(name, "none")));
  }

  /**
   * What was chosen where the request says nothing.
   *
   * @param backend its option
   * @param dispatch its option
   * @param lanes 0 where replicated
   * @param unitTokens tokens of a unit, as asked for; 0 for the default
   */
  public record Chosen(String backend, String dispatch, int lanes, long unitTokens) {
    /** What {@code request} asks for against it, for people; empty where nothing contradicts. */
    public Optional<String> contradiction(JobRequest request) {
      String asked = request.backend().name();
      if (!asked.equals("auto") && !asked.equals(backend)) {
        return differs("--backend", backend, asked);
      }
      String mode = request.dispatch().map(DispatchMode::option).orElse(dispatch);
      if (!mode.equals(dispatch)) {
        return differs("--dispatch", dispatch, mode);
      }
      int wantedLanes = request.lanes().orElse(lanes);
      if (lanes > 0 && wantedLanes != lanes) {
        return differs("--lanes", lanes, wantedLanes);
      }
      OptionalLong tokens = request.units().tokens();
      if (tokens.isPresent() && tokens.getAsLong() != unitTokens) {
        return differs(
            "--unit-tokens", unitTokens == 0 ? "the default" : unitTokens, tokens.getAsLong());
      }
      return Optional.empty();
    }

    private static Optional<String> differs(String option, Object was, Object is) {
      return Optional.of("%s was %s, now it is %s".formatted(option, was, is));
    }
  }

  private static String version() {
    String own = Fingerprint.class.getPackage().getImplementationVersion();
    return own == null ? "unpackaged" : own;
  }

  /** The files say which table it is; which tensor of a file, only the path. */
  private static String tensor(String path) {
    int hash = path.lastIndexOf('#');
    return hash < 0 ? "files" : path.substring(hash);
  }

  private static String hash(List<DataFile> files) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (DataFile file : files) {
        String line = "%s %d %d\n".formatted(file.path(), file.bytes(), file.modified());
        digest.update(line.getBytes(StandardCharsets.UTF_8));
      }
      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java has SHA-256", e);
    }
  }
}
