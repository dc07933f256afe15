package org.sparkmoe.job.it;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The Spark that the build put together, the application jar, and how a JVM is started on them. */
final class Installation {
  static final Path ROOT = path("moe.root");
  static final Path JAR = path("moe.jar");
  static final Path SPARK_HOME = path("moe.sparkHome");

  /** Processes live for seconds: compiled well they would end before it pays. */
  static final String FEW_OPTIMIZATIONS = "-XX:TieredStopAtLevel=1";

  /** The first JVM to end leaves the classes it loaded to the later ones, parsed and verified. */
  private static final List<String> QUICK_START =
      List.of(
          FEW_OPTIMIZATIONS,
          "-XX:+UseSerialGC",
          "-XX:+AutoCreateSharedArchive",
          "-XX:SharedArchiveFile=" + SPARK_HOME.resolveSibling("classes.jsa"),
          "-Xlog:disable");

  private Installation() {}

  /** A JVM of this test's JDK with Spark on its class path; stdout and stderr go to files. */
  static Process java(Path stdout, Path stderr, List<String> arguments) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("@" + ROOT.resolve("conf/jvm.options"));
    command.addAll(QUICK_START);
    command.add("-cp");
    command.add(SPARK_HOME.resolve("jars") + "/*");
    command.addAll(arguments);
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.redirectOutput(stdout.toFile()).redirectError(stderr.toFile());
    builder.redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()));
    Map<String, String> environment = builder.environment();
    environment.keySet().removeIf(name -> name.startsWith("SPARK_") || name.equals("MASTER"));
    environment.put("JAVA_HOME", System.getProperty("java.home"));
    environment.put("SPARK_HOME", SPARK_HOME.toString());
    environment.put("SPARK_SCALA_VERSION", "2.13");
    environment.put("SPARK_LOCAL_IP", "127.0.0.1");
    Process process = builder.start();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> kill(process)));
    return process;
  }

  /** Ends a process and everything it started, without asking. */
  static void kill(Process process) {
    List<ProcessHandle> tree = new ArrayList<>(process.descendants().toList());
    tree.add(process.toHandle());
    tree.forEach(ProcessHandle::destroyForcibly);
    tree.forEach(handle -> handle.onExit().join());
  }

  private static Path path(String property) {
    String value = System.getProperty(property);
    if (value == null) {
      throw new IllegalStateException(property + " is not set: run this test through mvn verify");
    }
    return Path.of(value);
  }
}
