package org.sparkmoe.job.cli;

import java.util.Set;
import java.util.TreeSet;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

/**
 * The long names of all options, which are also the keys of run files and, behind {@code
 * spark.moe.}, of Spark's settings.
 */
final class OptionNames {
  private OptionNames() {}

  static Set<String> of(CommandLine line) {
    Set<String> names = new TreeSet<>();
    line.getSubcommands()
        .values()
        .forEach(sub -> sub.getCommandSpec().options().forEach(o -> add(o, names)));
    return names;
  }

  /** The key of an option: its longest name without dashes. */
  static String key(OptionSpec option) {
    return option.longestName().replaceFirst("^-+", "");
  }

  private static void add(OptionSpec option, Set<String> names) {
    if (!option.usageHelp() && !option.versionHelp()) {
      names.add(key(option));
    }
  }
}
