package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The script of {@code moe generate-completion}, in a shell. */
final class CompletionCommandTest {
  private static final Path BASH = Path.of("/bin/bash");

  @TempDir private Path folder;

  private String complete(String... words) throws Exception {
    assumeTrue(Files.isExecutable(BASH), "there is no " + BASH);
    Path script = folder.resolve("moe.bash");
    Files.writeString(script, Cli.execute("generate-completion").isDone().out());
    Process shell =
        new ProcessBuilder(
                BASH.toString(),
                "-c",
                // bash has compopt only where it completes
                "compopt() { :; }; source %s; COMP_WORDS=(moe %s); COMP_CWORD=%d; _complete_moe; echo \"${COMPREPLY[@]}\""
                    .formatted(script, String.join(" ", words), words.length))
            .redirectErrorStream(true)
            .start();
    String said = new String(shell.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(shell.waitFor()).as(said).isZero();
    return said;
  }

  @Test
  void completesCommandsAndOptions() throws Exception {
    assertThat(complete("ver").strip()).isEqualTo("verify");
    assertThat(complete("run", "--max").strip()).isEqualTo("--max-errors");
    assertThat(complete("report", "--co").strip()).isEqualTo("--compare");
  }
}
