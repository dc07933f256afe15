package org.sparkmoe.job.docs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.assertj.core.api.SoftAssertions;
import org.junit.jupiter.api.Test;

/** Every message of {@code docs/troubleshooting.md} is one that the sources can say. */
final class TroubleshootingPageTest {
  private static final Path PAGE = Path.of("docs/troubleshooting.md");

  /** The first cell of a row, where it is a message. */
  private static final Pattern ROW = Pattern.compile("^\\| `([^`]+)`.*\\|$", Pattern.MULTILINE);

  /** Words in a row that are taken for a message's own: fewer may stand anywhere. */
  private static final int WORDS = 3;

  @Test
  void namesMessagesThatExist() throws IOException {
    String sources = sources();
    List<String> messages = new ArrayList<>();
    SoftAssertions softly = new SoftAssertions();
    Matcher row = ROW.matcher(Files.readString(PAGE));
    while (row.find()) {
      String message = row.group(1);
      messages.add(message);
      softly.assertThat(runs(message)).as(message).anyMatch(sources::contains);
    }
    softly.assertAll();
    assertThat(messages).hasSizeGreaterThan(20);
  }

  /** Every {@link #WORDS} words that follow each other; values are among them and match nothing. */
  private static List<String> runs(String message) {
    List<String> words = List.of(message.split(" ", -1));
    return IntStream.rangeClosed(0, words.size() - WORDS)
        .mapToObj(at -> String.join(" ", words.subList(at, at + WORDS)))
        .toList();
  }

  /** Of all modules and of the script that starts them, with split strings joined. */
  private static String sources() throws IOException {
    List<Path> files = new ArrayList<>(List.of(Path.of("bin/moe")));
    for (String module : List.of("kernels", "datasets", "udfs", "job")) {
      try (Stream<Path> found = Files.walk(Path.of("..", module, "src/main/java"))) {
        found.filter(file -> file.toString().endsWith(".java")).forEach(files::add);
      }
    }
    return files.stream()
        .map(TroubleshootingPageTest::read)
        .collect(Collectors.joining("\n"))
        .replaceAll("\"\\s*\\+\\s*\"", "")
        .replace("\\\"", "\"");
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
