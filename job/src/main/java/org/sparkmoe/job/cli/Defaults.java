package org.sparkmoe.job.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.sparkmoe.datasets.InputException;
import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.OptionSpec;

/**
 * Values of options that the command line leaves out: {@code spark.moe.NAME} of Spark's settings,
 * else {@code NAME} in the run file, else the option's own default.
 */
final class Defaults implements IDefaultValueProvider {
  private static final String PREFIX = "spark.moe.";

  /** Settings of executors, which no command has as an option. */
  private static final Set<String> NO_OPTIONS = Set.of("cache.dir", "natives.dir", "vector.bits");

  private final Map<String, String> values;

  private Defaults(Map<String, String> values) {
    this.values = values;
  }

  /**
   * Collects them.
   *
   * @param args the command line; only {@code --config} is looked for
   * @param sparkMoe settings, prefix included
   * @param known names of all options
   * @throws InputException for an unreadable run file, or a name that is no option
   */
  static Defaults of(List<String> args, Map<String, String> sparkMoe, Set<String> known) {
    Map<String, String> settings = new TreeMap<>();
    sparkMoe.forEach((key, value) -> settings.put(key.substring(PREFIX.length()), value));
    settings.keySet().removeAll(NO_OPTIONS);
    refuseUnknown(settings, known, "setting " + PREFIX);
    Map<String, String> values = new HashMap<>();
    String file = runFile(args, settings);
    if (file != null) {
      Map<String, String> written = read(file);
      refuseUnknown(written, known, file + ": ");
      if (written.containsKey("config")) {
        throw new InputException(
            "run file %s: config %s would be another run file; remove the line"
                .formatted(file, written.get("config")));
      }
      values.putAll(written);
    }
    values.putAll(settings);
    return new Defaults(values);
  }

  @Override
  public String defaultValue(ArgSpec argument) {
    return argument instanceof OptionSpec option ? values.get(OptionNames.key(option)) : null;
  }

  private static String runFile(List<String> args, Map<String, String> settings) {
    for (int i = 0; i < args.size(); i++) {
      if (args.get(i).startsWith("--config=")) {
        return args.get(i).substring("--config=".length());
      }
      if (args.get(i).equals("--config") && i + 1 < args.size()) {
        return args.get(i + 1);
      }
    }
    return settings.get("config");
  }

  private static Map<String, String> read(String file) {
    try {
      Map<String, String> values = new TreeMap<>();
      for (Map.Entry<String, Object> entry : entries(Files.readString(path(file))).entrySet()) {
        // An empty list is how a file says none.
        if (!(entry.getValue() instanceof List<?> list && list.isEmpty())) {
          values.put(entry.getKey(), text(file, entry));
        }
      }
      return values;
    } catch (NoSuchFileException e) {
      throw new InputException("run file %s does not exist; check --config".formatted(file), e);
    } catch (JsonProcessingException e) {
      throw new InputException(
          "run file %s is no map of option names to values: %s"
              .formatted(file, e.getOriginalMessage()),
          e);
    } catch (IOException e) {
      throw new InputException(
          "run file %s cannot be read: %s; check --config".formatted(file, e.getMessage()), e);
    }
  }

  private static Path path(String file) {
    try {
      return Path.of(file.replaceFirst("^file:(//)?", ""));
    } catch (InvalidPathException e) {
      throw new InputException(
          "run file %s is not a path: %s; check --config".formatted(file, e.getReason()), e);
    }
  }

  /** The entries of a file, none where it holds nothing but comments. */
  private static Map<String, Object> entries(String text) throws IOException {
    YAMLMapper yaml =
        YAMLMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();
    JsonNode root = yaml.readTree(text);
    return root.isMissingNode() || root.isNull()
        ? Map.of()
        : yaml.readerFor(new TypeReference<Map<String, Object>>() {}).readValue(root);
  }

  private static String text(String file, Map.Entry<String, Object> entry) {
    return switch (entry.getValue()) {
      case List<?> list when list.stream().allMatch(Defaults::isPlain) ->
          list.stream().map(String::valueOf).collect(Collectors.joining(","));
      case List<?> _, Map<?, ?> _ ->
          throw new InputException(
              "run file %s: %s holds a map, or a list of more than values; give one value or a list"
                  .formatted(file, entry.getKey()));
      case null ->
          throw new InputException(
              "run file %s: %s has no value; give one or remove the line"
                  .formatted(file, entry.getKey()));
      case Object value -> String.valueOf(value);
    };
  }

  private static boolean isPlain(Object value) {
    return value != null && !(value instanceof List<?>) && !(value instanceof Map<?, ?>);
  }

  private static void refuseUnknown(Map<String, String> given, Set<String> known, String where) {
    for (String name : given.keySet()) {
      if (!known.contains(name)) {
        throw new InputException(
            "%s%s is no option; known are %s".formatted(where, name, String.join(", ", known)));
      }
    }
  }
}
