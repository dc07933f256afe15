package org.sparkmoe.job.docs;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * What commands print, beside what pages say that they print: equal but for times, rates,
 * properties of the machine, and where the page has {@code …}.
 */
final class PrintedText {
  /** Where the pages have their folders. */
  static final String FOLDER = "moe-demo";

  /** Of a command line, in quotes or not. */
  private static final Pattern WORD = Pattern.compile("\"([^\"]*)\"|\\S+");

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
          // Rows are shuffled compressed or not, as the session is set.
          new String[] {"[1-9][\\d.]* (B|KiB|MiB) shuffled", "# shuffled"},
          new String[] {" +", " "});

  private final Path folder;

  /**
   * Text of commands and pages.
   *
   * @param folder that holds {@link #FOLDER} here
   */
  PrintedText(Path folder) {
    this.folder = folder;
  }

  /** A command line of a page as words, with folders as they are here. */
  List<String> words(String line) {
    List<String> words = new ArrayList<>();
    Matcher word = WORD.matcher(line);
    while (word.find()) {
      words.add(placed(word.group(1) == null ? word.group() : word.group(1)));
    }
    return words;
  }

  /** Text of a page with folders as they are here. */
  String placed(String text) {
    return text.replace(FOLDER + "/", folder.resolve(FOLDER) + "/");
  }

  /** Text of a page or of a command without what varies. */
  String comparable(String printed) {
    String text = printed.replace(folder + "/", "").replace("…/", "");
    for (String[] each : VARYING) {
      text = Pattern.compile(each[0], Pattern.MULTILINE).matcher(text).replaceAll(each[1]);
    }
    return text.strip();
  }

  /** What {@link #comparable} has to match; a line {@code …} of the page is any lines. */
  Pattern pattern(String page) {
    return Pattern.compile(
        comparable(page)
            .lines()
            .map(line -> line.strip().equals("…") ? "(?s:.*)" : anyInside(line))
            .collect(Collectors.joining("\n")));
  }

  private static String anyInside(String line) {
    return Pattern.compile("…", Pattern.LITERAL)
        .splitAsStream(line)
        .map(Pattern::quote)
        .collect(Collectors.joining(".*", "", line.endsWith("…") ? ".*" : ""));
  }
}
