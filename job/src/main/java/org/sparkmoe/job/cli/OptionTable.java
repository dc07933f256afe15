package org.sparkmoe.job.cli;

import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/** The options of all commands in Markdown, from the code that parses them. */
final class OptionTable {
  private OptionTable() {}

  /** A section for each command that has options of its own. */
  static List<String> markdown() {
    List<String> lines = new ArrayList<>();
    new CommandLine(new MoeCli())
        .getSubcommands()
        .values()
        .forEach(
            command -> {
              List<String> rows = rows(command.getCommandSpec());
              if (!rows.isEmpty()) {
                lines.add("## moe " + command.getCommandName());
                lines.add("");
                lines.add(text(command.getCommandSpec().usageMessage().description()));
                lines.add("");
                lines.add("| option | default | meaning |");
                lines.add("|---|---|---|");
                lines.addAll(rows);
                lines.add("");
              }
            });
    return lines;
  }

  private static List<String> rows(CommandSpec command) {
    return command.options().stream()
        .filter(option -> !option.inherited() && !option.usageHelp() && !option.versionHelp())
        .map(OptionTable::row)
        .toList();
  }

  private static String row(OptionSpec option) {
    String name = option.longestName();
    return "| `%s` | %s | %s |"
        .formatted(
            option.arity().max() == 0 ? name : name + " " + option.paramLabel(),
            standard(option),
            text(option.description()));
  }

  private static String standard(OptionSpec option) {
    if (option.required()) {
      return "required";
    }
    return option.defaultValue() == null ? "" : "`" + option.defaultValue() + "`";
  }

  /** Descriptions hold types such as ARRAY&lt;FLOAT&gt;, which are no tags. */
  private static String text(String[] description) {
    return String.join(" ", description)
        .replace("%n", " ")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("|", "\\|");
  }
}
