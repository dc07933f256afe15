package org.sparkmoe.job.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.s3.S3Client;

/**
 * S3Proxy in a process of its own, which keeps objects in memory and knows one user. Its libraries
 * are not those of Spark, so it gets no place on the tests' class path.
 */
final class S3Server implements AutoCloseable {
  private static final String USER = "moe";
  private static final String SECRET = "open-sesame";
  private static final Pattern STARTED =
      Pattern.compile("Started ServerConnector.*\\{127\\.0\\.0\\.1:(\\d+)}");

  private final Process process;
  private final String endpoint;

  private S3Server(Process process, int port) {
    this.process = process;
    this.endpoint = "http://127.0.0.1:" + port;
  }

  /** Starts one, with a file of its settings in {@code folder}. */
  static S3Server start(Path folder) throws IOException {
    Path settings = folder.resolve("s3.properties");
    Files.write(
        settings,
        List.of(
            "s3proxy.endpoint=http://127.0.0.1:0",
            "s3proxy.authorization=aws-v2-or-v4",
            "s3proxy.identity=" + USER,
            "s3proxy.credential=" + SECRET,
            "s3proxy.ignore-unknown-headers=true",
            "jclouds.provider=transient",
            "jclouds.identity=none",
            "jclouds.credential=none"));
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                jar().toString(),
                "org.gaul.s3proxy.Main",
                "--properties",
                settings.toString())
            .redirectErrorStream(true)
            .start();
    // It says nothing more once it runs, but for what fails.
    StringBuilder said = new StringBuilder();
    BufferedReader lines = process.inputReader();
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      said.append(line).append('\n');
      Matcher started = STARTED.matcher(line);
      if (started.find()) {
        Thread reader =
            Thread.ofPlatform().daemon().unstarted(() -> lines.lines().forEach(_ -> {}));
        reader.start();
        return new S3Server(process, Integer.parseInt(started.group(1)));
      }
    }
    throw new IOException("S3Proxy did not start:\n" + said);
  }

  private static Path jar() throws IOException {
    try (Stream<Path> files = Files.list(Path.of("target", "s3"))) {
      return files.findFirst().orElseThrow();
    }
  }

  /** Makes a bucket, and tells Hadoop how to get at it. */
  void bucket(String name, Configuration hadoop) {
    try (S3Client client =
        S3Client.builder()
            .endpointOverride(URI.create(endpoint))
            .region(Region.US_EAST_1)
            .forcePathStyle(true)
            .credentialsProvider(
                StaticCredentialsProvider.create(AwsBasicCredentials.create(USER, SECRET)))
            .build()) {
      client.createBucket(request -> request.bucket(name));
    }
    connect(name, USER, SECRET, hadoop);
  }

  /** Tells Hadoop how to get at a bucket, be it there or not. */
  void connect(String bucket, String user, String secret, Configuration hadoop) {
    String prefix = "fs.s3a.bucket." + bucket + ".";
    hadoop.set(prefix + "endpoint", endpoint);
    hadoop.set(prefix + "endpoint.region", "us-east-1");
    hadoop.set(prefix + "path.style.access", "true");
    hadoop.set(prefix + "connection.ssl.enabled", "false");
    hadoop.set(prefix + "access.key", user);
    hadoop.set(prefix + "secret.key", secret);
  }

  /** As the user that there is. */
  void connect(String bucket, Configuration hadoop) {
    connect(bucket, USER, SECRET, hadoop);
  }

  @Override
  public void close() {
    process.destroyForcibly();
  }
}
