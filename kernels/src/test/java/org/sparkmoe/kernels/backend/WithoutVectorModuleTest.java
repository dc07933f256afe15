package org.sparkmoe.kernels.backend;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.VectorExpertKernel;

/** A JVM started without {@code jdk.incubator.vector} gets a refusal, not a linkage error. */
final class WithoutVectorModuleTest {

  @Test
  void theMissingModuleIsAReason() throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName())
            .redirectErrorStream(true)
            .start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as(output).isZero();
    assertThat(output.lines())
        .containsExactly(
            "SCALAR",
            "backend vector cannot run here: vector: module jdk.incubator.vector is not loaded;"
                + " start the JVM with --add-modules=jdk.incubator.vector",
            "backend vector cannot run here: vector: module jdk.incubator.vector is not loaded;"
                + " start the JVM with --add-modules=jdk.incubator.vector");
  }

  /** What the other JVM runs. */
  static final class Main {
    private Main() {}

    public static void main(String[] args) {
      System.out.println(
          BackendSelector.select(
                  new BackendSelector.Request("auto", List.of(Backend.VECTOR, Backend.SCALAR)),
                  List.of())
              .backend());
      print(() -> ExpertKernel.of(Backend.VECTOR));
      print(VectorExpertKernel::new);
    }

    private static void print(Runnable attempt) {
      try {
        attempt.run();
        System.out.println("not refused");
      } catch (BackendUnavailableException e) {
        System.out.println(e.getMessage());
      }
    }
  }
}
