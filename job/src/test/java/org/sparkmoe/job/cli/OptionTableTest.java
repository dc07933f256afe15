package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

/** No option without its line in the documentation, and no line without its option. */
final class OptionTableTest {
  private static final Path PAGE = Path.of("docs/options.md");

  /** A row of a table of options. */
  private static final Pattern ROW = Pattern.compile("(?m)^\\| `--([a-z][a-z-]*)");

  @Test
  void theReferenceIsThatOfTheCode() throws IOException {
    String table = String.join("\n", OptionTable.markdown());
    Path written = Files.writeString(Path.of("target/options.md"), table);
    assertThat(Files.readString(PAGE))
        .as("options changed: put %s into %s", written, PAGE)
        .contains(table.strip());
  }

  @Test
  void whatPagesCallAnOptionIsOne() throws IOException {
    Set<String> known = new TreeSet<>(OptionNames.of(new CommandLine(new MoeCli())));
    try (Stream<Path> docs = Files.list(Path.of("docs"))) {
      for (Path page : Stream.concat(Stream.of(Path.of("../README.md")), docs).toList()) {
        if (page.toString().endsWith(".md")) {
          ROW.matcher(Files.readString(page))
              .results()
              .forEach(found -> assertThat(known).as(page.toString()).contains(found.group(1)));
        }
      }
    }
  }

  @Test
  void theReadmeNamesEveryOptionOfARun() throws IOException {
    Set<String> named = new TreeSet<>();
    ROW.matcher(Files.readString(Path.of("../README.md")))
        .results()
        .forEach(found -> named.add(found.group(1)));
    new CommandLine(new MoeCli())
        .getSubcommands().get("run").getCommandSpec().options().stream()
            .filter(option -> !option.usageHelp() && !option.versionHelp())
            .forEach(option -> assertThat(named).contains(OptionNames.key(option)));
  }
}
