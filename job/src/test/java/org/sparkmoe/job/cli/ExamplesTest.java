package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.junit.jupiter.api.Test;
import org.sparkmoe.job.Main;
import picocli.CommandLine;

/** The example files in {@code conf/} are at least well-formed, and their command lines known. */
final class ExamplesTest {
  private static final Path CONF = Path.of("..", "conf");

  @Test
  void theKubernetesManifestNamesOurClassAndOptions() throws IOException {
    JsonNode spec =
        new YAMLMapper()
            .readTree(CONF.resolve("kubernetes/spark-application.yaml").toFile())
            .get("spec");

    assertThat(spec.get("mainClass").asText()).isEqualTo(Main.class.getName());
    List<String> arguments = new ArrayList<>();
    spec.get("arguments").forEach(argument -> arguments.add(argument.asText()));
    assertThat(new CommandLine(new MoeCli()).parseArgs(arguments.toArray(String[]::new)).errors())
        .isEmpty();
  }

  @Test
  void theAirflowDagIsPython() throws Exception {
    String dag = Files.readString(CONF.resolve("airflow/moe_dag.py"));
    assertThat(dag).contains(Main.class.getName());
    String code = "import ast, sys; ast.parse(sys.stdin.read())";
    Process python;
    try {
      python = new ProcessBuilder("python3", "-c", code).redirectErrorStream(true).start();
    } catch (IOException e) {
      assumeTrue(false, "there is no python3: " + e.getMessage());
      return;
    }
    python.getOutputStream().write(dag.getBytes(StandardCharsets.UTF_8));
    python.getOutputStream().close();
    String said = new String(python.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(python.waitFor()).as(said).isZero();
  }

  @Test
  void theLayoutOfJsonLogsIsThere() throws IOException {
    Properties log = new Properties();
    try (Reader reader = Files.newBufferedReader(CONF.resolve("log4j2-json.properties"))) {
      log.load(reader);
    }
    String template =
        log.getProperty("appender.json.layout.eventTemplateUri").replaceFirst("^classpath:", "/");
    try (InputStream layout = Main.class.getResourceAsStream(template)) {
      assertThat(layout).as(template).isNotNull();
      assertThat(new YAMLMapper().readTree(new InputStreamReader(layout, StandardCharsets.UTF_8)))
          .isNotEmpty();
    }
  }
}
