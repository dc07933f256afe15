package org.sparkmoe.job.docs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.RuntimeConfig;
import org.apache.spark.sql.SparkSession;
import org.assertj.core.api.SoftAssertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.cli.Cli;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.run.Interrupted;
import org.sparkmoe.kernels.backend.BackendSelector;

/**
 * Every command and every query of {@code docs/tutorial.md}, in its order, prints what stands below
 * it; where it stands below as {@code …} or is a time, a rate or a property of the machine,
 * anything.
 */
@ExtendWith(LocalSpark.class)
final class TutorialTest {
  private static final Path PAGE = Path.of("docs/tutorial.md");
  private static final String PROMPT = "$ job/bin/moe ";

  /** The run that queries are about. */
  private static final String RUN = PrintedText.FOLDER + "/mine";

  /** Starts a line of a command that goes on with a run, which is interrupted before it. */
  private static final String GOES_ON = "\nresume ";

  /** A block of the page, and for queries the indented lines that follow it. */
  private static final Pattern BLOCK =
      Pattern.compile(
          "```(sql|console)\\n(.*?)```\\n(?:\\n((?:    [^\\n]*\\n)+))?", Pattern.DOTALL);

  @TempDir private static Path folder;

  @Test
  void printsWhatItSays(SparkSession shared) throws IOException {
    DocumentedSession.unpack(folder.resolve(PrintedText.FOLDER).resolve("checkpoint"));
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
    PrintedText printed = new PrintedText(folder);
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
        List<String> words = printed.words(command.substring(PROMPT.length()));
        softly
            .assertThat(printed.comparable(printed(words, text.contains(GOES_ON))))
            .as(command)
            .matches(printed.pattern(text.substring(end + 1)));
        commands++;
      } else {
        softly
            .assertThat(
                Cli.execute("sql", printed.placed(RUN), "-e", printed.placed(text)).isDone().out())
            .as(text)
            .isEqualTo(String.valueOf(block.group(3)).replaceAll("(?m)^    ", ""));
        results++;
      }
    }
    softly.assertAll();
    assertThat(commands).isGreaterThan(8);
    assertThat(results).isGreaterThan(2);
  }

  /** A driver that fails in the second unit of the run that {@code words} ask for. */
  private static void interrupt(List<String> words) {
    JobRequest request =
        Interrupted.request(
                value(words, "--model"),
                Integer.parseInt(value(words, "--layer")),
                TokenOptions.of(value(words, "--input")),
                value(words, "--output"),
                BackendSelector.Request.auto())
            .withUnits(
                new JobRequest.Units(
                    OptionalLong.of(Long.parseLong(value(words, "--unit-tokens"))), true));
    assertThat(Interrupted.run(SparkSession.active(), request, 59, 2).remedy())
        .startsWith("routes and 1 of 2 units are kept");
  }

  private static String value(List<String> words, String option) {
    return words.get(words.indexOf(option) + 1);
  }

  /** What a command prints; {@code --conf NAME=VALUE} before it is of the session meanwhile. */
  private static String printed(List<String> words, boolean interrupted) {
    if (!words.getFirst().equals("--conf")) {
      return Cli.execute(words.toArray(String[]::new)).isDone().out();
    }
    RuntimeConfig settings = SparkSession.active().conf();
    String[] setting = words.get(1).split("=", 2);
    String before = settings.get(setting[0]);
    settings.set(setting[0], setting[1]);
    try {
      List<String> command = words.subList(2, words.size());
      if (interrupted) {
        interrupt(command);
      }
      return printed(command, false);
    } finally {
      settings.set(setting[0], before);
    }
  }
}
