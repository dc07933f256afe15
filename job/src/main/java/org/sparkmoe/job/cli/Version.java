package org.sparkmoe.job.cli;

import java.io.IOException;
import java.net.JarURLConnection;
import java.net.URL;
import java.net.URLConnection;
import java.util.jar.Attributes;
import org.apache.spark.SparkBuildInfo;
import picocli.CommandLine.IVersionProvider;

/** What {@code --version} prints: our version and commit, and what it runs on. */
final class Version implements IVersionProvider {
  @Override
  public String[] getVersion() {
    return new String[] {
      "Spark MoE " + ours(),
      "Spark %s, Scala %s"
          .formatted(SparkBuildInfo.spark_version(), scala.util.Properties.versionNumberString()),
      "Java %s (%s), %s %s"
          .formatted(
              Runtime.version(),
              System.getProperty("java.vendor"),
              System.getProperty("os.name"),
              System.getProperty("os.arch"))
    };
  }

  private static String ours() {
    String version = Version.class.getPackage().getImplementationVersion();
    return version == null ? "(unpackaged)" : "%s (commit %s)".formatted(version, commit());
  }

  /** The commit that the application jar was built from, as its manifest says. */
  private static String commit() {
    try {
      URL self = Version.class.getResource(Version.class.getSimpleName() + ".class");
      URLConnection connection = self.openConnection();
      Attributes attributes =
          connection instanceof JarURLConnection jar ? jar.getMainAttributes() : null;
      String commit = attributes == null ? null : attributes.getValue("Implementation-Commit");
      return commit == null ? "unknown" : commit;
    } catch (IOException e) {
      return "unknown";
    }
  }
}
