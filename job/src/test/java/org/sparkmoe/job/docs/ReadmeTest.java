package org.sparkmoe.job.docs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.job.cli.Cli;

/** What {@code README.md} shows of the demo is what the demo prints. */
@ExtendWith(LocalSpark.class)
final class ReadmeTest {
  private static final Path PAGE = Path.of("..", "README.md");

  @TempDir private static Path folder;

  private static PrintedText printed;
  private static String demo;

  @BeforeAll
  static void runTheDemo() {
    printed = new PrintedText(folder);
    String output = folder.resolve(PrintedText.FOLDER).toString();
    demo = Cli.execute("demo", "--output", output).isDone().out();
  }

  @Test
  void theDemoChecksItself() {
    assertThat(demo).contains("60 tokens", "they agree");
    assertThat(folder.resolve("moe-demo/run/manifest.json")).exists();
  }

  /** The run is that of the demo, into another folder. */
  @Test
  void theRunPrintsWhatItSays() throws IOException {
    String block = block("      --input 'moe-demo/checkpoint");
    matches(demo, block.substring(block.indexOf('…')).replace("…/out", "…/moe-demo/run") + "…");
  }

  @Test
  void theCheckpointIsAsItSays() throws IOException {
    String block = block("    job/bin/moe inspect --model");
    int end = block.indexOf('\n');
    matches(
        Cli.execute(
                printed.words(block.substring("job/bin/moe ".length(), end)).toArray(String[]::new))
            .isDone()
            .out(),
        block.substring(end + 2));
  }

  private static void matches(String text, String page) {
    assertThat(printed.comparable(text)).matches(printed.pattern(page));
  }

  /** The indented lines of the page from the one that starts with {@code first}. */
  private static String block(String first) throws IOException {
    Matcher block =
        Pattern.compile("(?m)^" + Pattern.quote(first) + ".*\\n(?:    .*\\n|\\n(?=    |\\n))*")
            .matcher(Files.readString(PAGE));
    assertThat(block.find()).as(first).isTrue();
    return block.group().replaceAll("(?m)^    ", "");
  }
}
