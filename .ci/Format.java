import com.google.googlejavaformat.java.Formatter;
import com.google.googlejavaformat.java.JavaFormatterOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Checks that every Java source is in google-java-format style, or rewrites it.
 *
 * <p>Usage: {@code Format.java check|fix ROOT}. Exits 1 and lists the files when a check fails. Runs
 * as a source file on the JDK of the build's toolchain, because google-java-format understands only
 * the syntax of the JDK it runs on.
 */
final class Format {
  private static final List<String> ROOTS = List.of("kernels", "datasets", "udfs", "job");

  public static void main(String[] args) throws Exception {
    boolean fix = args[0].equals("fix");
    Path base = Path.of(args[1]);
    List<Path> off = new ArrayList<>();
    for (Path source : sources(base)) {
      String text = Files.readString(source);
      String formatted = format(text);
      if (!formatted.equals(text)) {
        off.add(base.relativize(source));
        if (fix) {
          Files.writeString(source, formatted);
        }
      }
    }
    if (fix) {
      off.forEach(path -> System.out.println("formatted " + path));
    } else if (!off.isEmpty()) {
      off.forEach(path -> System.err.println("not formatted: " + path));
      System.err.println("run: mvn -N process-sources -Dformat=fix");
      System.exit(1);
    }
  }

  private static String format(String text) throws Exception {
    return new Formatter(JavaFormatterOptions.defaultOptions()).formatSourceAndFixImports(text);
  }

  private static List<Path> sources(Path base) throws Exception {
    List<Path> sources = new ArrayList<>();
    for (String module : ROOTS) {
      Path src = base.resolve(module).resolve("src");
      if (Files.isDirectory(src)) {
        try (var walk = Files.walk(src)) {
          walk.filter(path -> path.toString().endsWith(".java")).sorted().forEach(sources::add);
        }
      }
    }
    return sources;
  }
}
