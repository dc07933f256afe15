import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.job.cli.MoeCli;

/**
 * One application that runs the job over and over, disturbed: {@code Soak FOLDER RECORD SECONDS
 * SEED}. See soak.sh, which starts it.
 */
public final class Soak {
  /** So that small tables have partitions for some units, and not one for each of their files. */
  private static final Map<String, String> PARTITIONS =
      Map.of("spark.sql.files.minPartitionNum", "6", "spark.sql.files.openCostInBytes", "1");

  private final Path folder;
  private final Path record;
  private final SparkSession spark;
  private final Faults faults;
  private final RunComparison comparison;
  private final SplittableRandom random;
  private final String slice;

  private Soak(Path folder, Path record, SparkSession spark, long seed) {
    this.folder = folder;
    this.record = record;
    this.spark = spark;
    this.random = new SplittableRandom(seed);
    this.faults = new Faults(spark, folder, random.split());
    this.comparison = new RunComparison(spark);
    this.slice = Instant.now().truncatedTo(ChronoUnit.SECONDS) + " seed " + seed;
  }

  /** What is drawn for a run. */
  private record Draw(
      int tokens,
      String scheme,
      Faults.Kind fault,
      Faults.Point point,
      int times,
      List<String> dispatch) {

    static Draw of(SplittableRandom random) {
      int tokens = one(random, List.of(1_000, 3_000, 6_000));
      String scheme = one(random, List.of("model", "fp8-channel", "int8", "nvfp4", "mxfp4"));
      Faults.Kind fault = one(random, List.of(Faults.Kind.values()));
      Faults.Point point = one(random, Faults.Point.ALL);
      // a start of a driver is most of the time of a run
      int times = fault.ofProcesses() ? 1 : 1 + random.nextInt(2);
      String lanes = Integer.toString(2 + random.nextInt(4));
      boolean ep = random.nextBoolean() || fault == Faults.Kind.SHUFFLE_LOSS;
      return new Draw(
          tokens,
          scheme,
          fault,
          point,
          times,
          ep ? List.of("ep", "--lanes", lanes) : List.of("replicated"));
    }

    private static <T> T one(SplittableRandom random, List<T> of) {
      return of.get(random.nextInt(of.size()));
    }
  }

  public static void main(String[] args) throws Exception {
    Path folder = Path.of(args[0]);
    SparkConf conf = new SparkConf();
    for (String line : Files.readAllLines(Path.of(System.getProperty("soak.conf")))) {
      if (line.startsWith("spark.")) {
        String[] setting = line.split("\\s+", 2);
        conf.set(setting[0], setting[1].strip());
      }
    }
    conf.setMaster("local-cluster[2,1,1024]")
        .setAppName("soak")
        .set("spark.jars", System.getProperty("soak.jar"))
        .set("spark.ui.enabled", "false")
        .set("spark.local.dir", folder.resolve("local").toString())
        .set("spark.stage.maxConsecutiveAttempts", "20")
        .set("spark.task.maxFailures", "20")
        .set("spark.deploy.maxExecutorRetries", "-1");
    PARTITIONS.forEach(conf::set);
    try (SparkSession spark = SparkSession.builder().config(conf).getOrCreate()) {
      Soak soak = new Soak(folder, Path.of(args[1]), spark, Long.parseLong(args[3]));
      long end = System.nanoTime() + Long.parseLong(args[2]) * 1_000_000_000L;
      while (System.nanoTime() < end) {
        soak.once();
      }
    } catch (IllegalStateException e) {
      System.err.println("soak: " + e.getMessage());
      System.exit(1);
    }
    System.exit(0);
  }

  private void once() throws Exception {
    Draw draw = Draw.of(random);
    Path input = folder.resolve(Integer.toString(draw.tokens()));
    Path reference = reference(input, draw.scheme());
    Path output = folder.resolve("run");
    clear();
    List<String> command = command(input, draw.scheme(), output);
    command.add("--dispatch");
    command.addAll(draw.dispatch());
    command.addAll(List.of("--unit-tokens", Integer.toString(draw.tokens() / 6), "--resume"));
    int happened = disturbed(draw, command, output);
    String result = comparison.difference(output, reference);
    System.gc();
    List<String> line =
        List.of(
            Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
            slice,
            Integer.toString(draw.tokens()),
            draw.scheme(),
            draw.dispatch().getFirst(),
            draw.fault().label(),
            Integer.toString(happened),
            result,
            Long.toString(Faults.residentMiB(ProcessHandle.current())),
            Long.toString(faults.executors().mapToLong(Faults::residentMiB).sum()));
    Files.writeString(
        record,
        String.join("\t", line) + "\n",
        StandardOpenOption.CREATE,
        StandardOpenOption.APPEND);
    if (!result.equals(RunComparison.EQUAL)) {
      throw new IllegalStateException(
          "%s, disturbed at %s: %s".formatted(command, draw.point(), result));
    }
  }

  /** Runs {@code command} until it is done; how often it was disturbed. */
  private int disturbed(Draw draw, List<String> command, Path output) throws Exception {
    int happened = 0;
    for (int n = 0; draw.fault().ofProcesses() && n < draw.times(); n++) {
      Process driver = inProcess(command);
      happened += faults.end(driver, draw.fault(), output, draw.point());
      driver.waitFor();
    }
    for (int n = 0; ; n++) {
      CompletableFuture<Integer> running =
          CompletableFuture.supplyAsync(() -> MoeCli.execute(command, Map.of()));
      boolean cancel = draw.fault() == Faults.Kind.CANCEL;
      if (!draw.fault().ofProcesses() && n < draw.times()) {
        int most = cancel ? 1 : draw.times();
        for (int i = 0; i < most && !running.isDone(); i++) {
          int times = faults.disturb(running, draw.fault(), output, draw.point());
          happened += cancel ? 0 : times;
        }
      }
      int code = running.get();
      if (code == 0) {
        return happened;
      }
      if (!cancel || n >= draw.times()) {
        throw new IllegalStateException(
            "%s, disturbed %d times by %s at %s: exit code %d"
                .formatted(command, happened, draw.fault().label(), draw.point(), code));
      }
      // between two jobs there was nothing to cancel
      happened++;
    }
  }

  private Process inProcess(List<String> command) throws IOException {
    List<String> all =
        new ArrayList<>(
            List.of(
                System.getProperty("soak.moe"), "--master", "local[2]", "--driver-memory", "1g"));
    all.addAll(List.of("--conf", "spark.ui.enabled=false"));
    PARTITIONS.forEach((name, value) -> all.addAll(List.of("--conf", name + "=" + value)));
    all.addAll(command);
    ProcessBuilder builder = new ProcessBuilder(all);
    // It lives for seconds: compiled well it would end before that pays.
    builder.environment().put("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1");
    return builder
        .redirectErrorStream(true)
        .redirectOutput(folder.resolve("driver.log").toFile())
        .start();
  }

  /** A run that nobody disturbs, made once. */
  private Path reference(Path input, String scheme) {
    Path model = input.resolve(scheme);
    if (!Files.exists(model)) {
      done(
          List.of(
              "quantize",
              "--model",
              input.resolve("model").toString(),
              "--scheme",
              scheme,
              "--output",
              model.toString()));
    }
    Path reference = input.resolve(scheme + ".reference");
    if (!Files.exists(reference)) {
      List<String> command = command(input, scheme, reference);
      command.addAll(List.of("--dispatch", "replicated"));
      done(command);
    }
    return reference;
  }

  private static void done(List<String> command) {
    int code = MoeCli.execute(command, Map.of());
    if (code != 0) {
      throw new IllegalStateException("%s: exit code %d".formatted(command, code));
    }
  }

  private static List<String> command(Path input, String scheme, Path output) {
    return new ArrayList<>(
        List.of(
            "run",
            "--model",
            input.resolve(scheme).toString(),
            "--layer",
            "0",
            "--input",
            input.resolve("tokens").toString(),
            "--output",
            output.toString(),
            "--no-report"));
  }

  /** Removes a run and what is staged for it. */
  private void clear() throws IOException {
    try (var beside = Files.newDirectoryStream(folder, "{run,.run.staging-*}")) {
      for (Path run : beside) {
        Files.walkFileTree(
            run,
            new SimpleFileVisitor<>() {
              @Override
              public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                  throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
              }

              @Override
              public FileVisitResult postVisitDirectory(Path directory, IOException failure)
                  throws IOException {
                Files.delete(directory);
                return FileVisitResult.CONTINUE;
              }
            });
      }
    }
  }
}
