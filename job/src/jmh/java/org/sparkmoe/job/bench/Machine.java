package org.sparkmoe.job.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.sparkmoe.kernels.simd.Simd;

/** What Linux tells of the machine and of this process; elsewhere much of it is unknown. */
final class Machine {
  private static final List<String> SIMD_FLAGS =
      List.of("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "sve", "bf16");

  private Machine() {}

  /** Processor, instruction sets, memory, JVM. */
  static List<String> lines() {
    return List.of(
        "machine: %s, %d cores, %s"
            .formatted(cpuinfo("model name"), Runtime.getRuntime().availableProcessors(), memory()),
        "instruction sets: %s; our vectors have %d bits"
            .formatted(instructionSets(), Simd.LANES * Float.SIZE),
        "JVM: %s %s, %s %s"
            .formatted(
                System.getProperty("java.vm.name"),
                System.getProperty("java.vm.version"),
                System.getProperty("os.name"),
                System.getProperty("os.version")));
  }

  /** Memory that can be taken without swapping. */
  static OptionalLong availableBytes() {
    return kibibytes("/proc/meminfo", "MemAvailable");
  }

  /** Memory that this process alone holds: heap and native, no mapped files. */
  static OptionalLong anonymousBytes() {
    return kibibytes("/proc/self/status", "RssAnon");
  }

  /** Why {@code bytes} more cannot be held; empty where they can, or where nobody knows. */
  static Optional<String> shortage(long bytes) {
    OptionalLong available = availableBytes();
    return available.isEmpty() || bytes <= available.getAsLong()
        ? Optional.empty()
        : Optional.of(
            "it needs %s of memory, %s are free"
                .formatted(Figures.gibibytes(bytes), Figures.gibibytes(available.getAsLong())));
  }

  private static String memory() {
    OptionalLong total = kibibytes("/proc/meminfo", "MemTotal");
    return total.isEmpty()
        ? "memory unknown"
        : "%.1f GiB".formatted(total.getAsLong() / (double) (1L << 30));
  }

  private static String instructionSets() {
    String flags = " " + cpuinfo("flags") + " " + cpuinfo("Features") + " ";
    String known =
        SIMD_FLAGS.stream()
            .filter(flag -> flags.contains(" " + flag + " "))
            .collect(Collectors.joining(", "));
    return known.isEmpty() ? System.getProperty("os.arch") : known;
  }

  private static String cpuinfo(String key) {
    return value("/proc/cpuinfo", key);
  }

  private static OptionalLong kibibytes(String file, String key) {
    String digits = value(file, key).replaceAll("\\D", "");
    return digits.isEmpty() ? OptionalLong.empty() : OptionalLong.of(Long.parseLong(digits) << 10);
  }

  /** What follows {@code key :} in a file of such lines; "unknown" where there is none. */
  private static String value(String file, String key) {
    try (Stream<String> lines = Files.lines(Path.of(file))) {
      return lines
          .filter(line -> line.toLowerCase(Locale.ROOT).startsWith(key.toLowerCase(Locale.ROOT)))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst()
          .orElse("unknown");
    } catch (IOException e) {
      return "unknown";
    }
  }
}
