package org.sparkmoe.datasets.checkpoint;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.sparkmoe.datasets.safetensors.Quoted;

/**
 * A configuration's list of modules: full names, which also stand for everything below, names with
 * {@code *} and {@code ?}, and regular expressions after {@code re:}, which match from the start.
 */
final class ModulePatterns {
  private static final int MAX_LENGTH = 1_000;

  private final List<String> names = new ArrayList<>();
  private final List<Pattern> wildcards = new ArrayList<>();
  private final List<Pattern> expressions = new ArrayList<>();

  private ModulePatterns() {}

  /** The patterns listed at any of the keys. */
  static ModulePatterns at(ModelConfig config, String... keys) {
    ModulePatterns patterns = new ModulePatterns();
    for (String key : keys) {
      config.texts(key).orElse(List.of()).forEach(text -> patterns.add(config, key, text));
    }
    return patterns;
  }

  private void add(ModelConfig config, String key, String text) {
    if (text.length() > MAX_LENGTH) {
      throw config.bad(
          "has a pattern of %d characters in %s, the limit is %d"
              .formatted(text.length(), key, MAX_LENGTH));
    }
    if (text.startsWith("re:")) {
      try {
        expressions.add(Pattern.compile(text.substring(3)));
      } catch (PatternSyntaxException e) {
        throw config.bad(
            "has %s in %s, which is no regular expression".formatted(Quoted.of(text), key));
      }
    } else if (text.contains("*") || text.contains("?")) {
      String expression = Pattern.quote(text).replace("*", "\\E.*\\Q").replace("?", "\\E.\\Q");
      wildcards.add(Pattern.compile(expression));
    } else {
      names.add(text);
    }
  }

  /** Whether a name in the list is that of the module. */
  boolean name(String module) {
    return names.contains(module);
  }

  /** Whether a regular expression in the list matches. */
  boolean expression(String module) {
    return expressions.stream().anyMatch(pattern -> pattern.matcher(module).lookingAt());
  }

  /** Whether anything in the list stands for the module. */
  boolean contains(String module) {
    return names.stream().anyMatch(name -> module.equals(name) || module.startsWith(name + "."))
        || wildcards.stream().anyMatch(pattern -> pattern.matcher(module).matches())
        || expression(module);
  }
}
