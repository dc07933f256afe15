package org.sparkmoe.job.docs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.spark.sql.SparkSession;
import org.assertj.core.api.SoftAssertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.job.cli.Cli;

/**
 * Every command and every query of {@code docs/tutorial.md}, in its order, prints what stands below
 * it; where it stands below as {@code …} or is a time, a rate or a property of the machine,
 * anything.
 */
@ExtendWith(LocalSpark.class)
final class TutorialTest {
  private static final Path PAGE = Path.of("docs/tutorial.md");
  private static final String FOLDER = "moe-demo";
  private static final String PROMPT = "$ job/bin/moe ";

  /** The run that queries are about. */
  private static final String RUN = FOLDER + "/mine";

  /** Of a command line, in quotes or not. */
  private static final Pattern WORD = Pattern.compile("\"([^\"]*)\"|\\S+");

  /** A block of the page, and for queries the indented lines that follow it. */
  private static final Pattern BLOCK =
      Pattern.compile(
          "```(sql|console)\\n(.*?)```\\n(?:\\n((?:    [^\\n]*\\n)+))?", Pattern.DOTALL);

  /** What differs from one machine or moment to the next, and what is compared instead. */
  private static final List<String[]> VARYING =
      List.of(
          new String[] {"^ {9}(not |last digits ).*\\n", ""},
          new String[] {"^backend .*", "backend"},
          new String[] {"[<\\d][\\d.,]* (ms|s|tokens/s)\\b", "#"},
          new String[] {"\\d+ in B: [\\d.]+ ×", "# in B"},
          new String[] {"local\\[.*?]", "local"},
          new String[] {"\\d+ task slots", "task slots"},
          new String[] {"\\d+ MiB for task slots", "# for task slots"},
          new String[] {"budget [\\d.]+ [GM]iB", "budget"},
          // Of rows that agree to the last digits, which are the farthest depends on the kernels.
          new String[] {"^ +\\d+ +\\d\\.\\de-0[5-9] .*", "row"},
          new String[] {" +", " "});

  @TempDir private static Path folder;

  @Test
  void printsWhatItSays(SparkSession shared) throws IOException {
    DocumentedSession.unpack(folder.resolve(FOLDER).resolve("checkpoint"));
    use(DocumentedSession.beside(shared));
    try {
      compare();
    } finally {
      use(shared);
    }
  }

  /** Makes {@code session} the one in which commands run. */
  private static void use(SparkSession session) {
    SparkSession.setDefaultSession(session);
    SparkSession.setActiveSession(session);
  }

  private static void compare() throws IOException {
    SoftAssertions softly = new SoftAssertions();
    Matcher block = BLOCK.matcher(Files.readString(PAGE));
    int commands = 0;
    int results = 0;
    while (block.find()) {
      String text = block.group(2);
      if (block.group(1).equals("console")) {
        int end = text.indexOf('\n');
        String command = text.substring(0, end);
        assertThat(command).startsWith(PROMPT);
        softly
            .assertThat(comparable(printed(command.substring(PROMPT.length()))))
            .as(command)
            .matches(pattern(comparable(text.substring(end + 1))));
        commands++;
      } else {
        softly
            .assertThat(Cli.execute("sql", placed(RUN), "-e", placed(text)).isDone().out())
            .as(text)
            .isEqualTo(String.valueOf(block.group(3)).replaceAll("(?m)^    ", ""));
        results++;
      }
    }
    softly.assertAll();
    assertThat(commands).isGreaterThan(8);
    assertThat(results).isGreaterThan(2);
  }

  private static String printed(String arguments) {
    List<String> words = new ArrayList<>();
    Matcher word = WORD.matcher(arguments);
    while (word.find()) {
      words.add(placed(word.group(1) == null ? word.group() : word.group(1)));
    }
    return Cli.execute(words.toArray(String[]::new)).isDone().out();
  }

  /** With folders of the page where this test has them. */
  private static String placed(String text) {
    return text.replace(FOLDER + "/", folder.resolve(FOLDER) + "/");
  }

  private static String comparable(String printed) {
    String text = printed.replace(folder + "/", "").replace("…/", "");
    for (String[] each : VARYING) {
      text = Pattern.compile(each[0], Pattern.MULTILINE).matcher(text).replaceAll(each[1]);
    }
    return text.strip();
  }

  private static Pattern pattern(String expected) {
    return Pattern.compile(
        expected
            .lines()
            .map(
                line ->
                    Pattern.compile("…", Pattern.LITERAL)
                        .splitAsStream(line)
                        .map(Pattern::quote)
                        .collect(Collectors.joining(".*")))
            .collect(Collectors.joining("\n")));
  }
}
