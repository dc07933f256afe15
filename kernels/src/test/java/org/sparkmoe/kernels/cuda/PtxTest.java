package org.sparkmoe.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;

/** The PTX in the jar is what its source and the command in {@code ptx.sh} make. */
final class PtxTest {
  private static final Path SOURCE = Path.of("src/main/cuda/experts.cu");

  @Test
  void thePtxBelongsToItsSource() throws IOException, NoSuchAlgorithmException {
    assumeTrue(Files.exists(SOURCE), "the tests run outside their module");
    byte[] hash = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(SOURCE));
    assertThat(ptx())
        .as("run kernels/src/main/cuda/ptx.sh after a change of %s", SOURCE)
        .startsWith("// SHA-256 of experts.cu: " + HexFormat.of().formatHex(hash) + "\n");
  }

  @Test
  void thePtxIsForOldDriversAndGpusToo() {
    assertThat(ptx()).contains("\n.version 7.0\n", "\n.target sm_80\n");
  }

  @Test
  void everyKernelIsThere() {
    for (String type : new String[] {"f32", "bf16", "f16"}) {
      for (String name : new String[] {"inner_gated", "inner_plain", "outer", "pad"}) {
        assertThat(ptx()).contains(".visible .entry %s_%s(".formatted(name, type));
      }
    }
    assertThat(ptx()).contains(".visible .entry combine(", ".visible .entry scatter(");
  }

  private static String ptx() {
    return new String(Kernels.ptx(), StandardCharsets.US_ASCII);
  }
}
