package org.sparkmoe.job.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** A headless Chromium, where the machine has one. */
final class Browser {
  private static final List<String> NAMES =
      List.of("chromium", "chromium-browser", "google-chrome", "google-chrome-stable");

  private static final int MOST_TRIES = 3;

  private Browser() {}

  /**
   * What a page turns into once it is loaded.
   *
   * @param dom as markup
   * @param console lines that the page wrote there, errors and violations of its policy among them
   */
  record Opened(String dom, List<String> console) {}

  /**
   * Opens {@code page}; skips the test where there is no browser. Again where the page has not said
   * that it is drawn: the browser's own time may run out on a busy machine before two frames are.
   */
  static Opened open(Path page, Path folder) throws IOException, InterruptedException {
    Optional<Path> browser = find();
    assumeTrue(browser.isPresent(), "none of " + NAMES + " is on the PATH");
    Opened opened = open(browser.get(), page, folder);
    for (int more = 0; more < MOST_TRIES - 1 && !opened.dom().contains("data-ready="); more++) {
      opened = open(browser.get(), page, folder);
    }
    return opened;
  }

  private static Opened open(Path browser, Path page, Path folder)
      throws IOException, InterruptedException {
    Path dom = folder.resolve("dom.html");
    Path log = folder.resolve("browser.log");
    Process process =
        new ProcessBuilder(
                browser.toString(),
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--user-data-dir=" + folder.resolve("profile"),
                "--window-size=1400,1000",
                "--virtual-time-budget=20000",
                "--enable-logging=stderr",
                "--dump-dom",
                page.toUri().toString())
            .redirectOutput(dom.toFile())
            .redirectError(log.toFile())
            .start();
    try {
      assertThat(process.waitFor(120, TimeUnit.SECONDS)).as("the browser ends").isTrue();
    } finally {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly();
    }
    List<String> console =
        Files.readString(log).lines().filter(line -> line.contains("CONSOLE")).toList();
    return new Opened(Files.readString(dom), console);
  }

  private static Optional<Path> find() {
    String path = Optional.ofNullable(System.getenv("PATH")).orElse("");
    return Arrays.stream(path.split(File.pathSeparator))
        .flatMap(folder -> Stream.of(folder).flatMap(in -> NAMES.stream().map(n -> Path.of(in, n))))
        .filter(Files::isExecutable)
        .findFirst();
  }
}
