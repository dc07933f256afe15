package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.sparkmoe.job.run.Progress.Line;

final class ProgressTest {

  @Test
  void tellsTheRateAndTheTimeLeft() {
    assertThat(new Line(Stage.DISPATCH, 10, 40, 20, 5000, ""))
        .hasToString("dispatch 10/40 tasks  20.0 s  250 tokens/s  1 min 00 s left");
  }

  @Test
  void tellsNothingThatItDoesNotKnow() {
    assertThat(new Line(Stage.EXPERTS, 0, 4, 0, 0, "")).hasToString("experts  0/4 tasks  0.0 s");
    assertThat(new Line(Stage.EXPERTS, 2, 4, 3, 0, ""))
        .hasToString("experts  2/4 tasks  3.0 s  3.0 s left");
    assertThat(new Line(Stage.COMBINE, 4, 4, 3, 300, ""))
        .hasToString("combine  4/4 tasks  3.0 s  100 tokens/s");
  }

  @Test
  void aTerminalsLineRewritesItselfAndGoes() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    Progress progress = new Progress(new PrintStream(bytes, true, StandardCharsets.UTF_8), true);

    progress.show(new Line(Stage.COMBINE, 4, 4, 3, 300, ""));
    progress.show(new Line(Stage.ROUTE, 1, 1, 0, 0, ""));
    progress.end();

    String text = bytes.toString(StandardCharsets.UTF_8);
    assertThat(text).startsWith("\rcombine  4/4").contains("\rroute    1/1 tasks").endsWith(" \r");
    assertThat(text).doesNotContain("\n");
  }

  @Test
  void aShortRunLogsNothing() {
    StringBuilder log = new StringBuilder();
    new Progress(log::append).show(new Line(Stage.COMBINE, 4, 4, 3, 300, ""));
    assertThat(log).isEmpty();
  }
}
