package org.sparkmoe.kernels.cuda;

import static java.util.Locale.ROOT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.kernels.tensor.CodeType;

/** The PTX in the jar is what its source and the command in {@code ptx.sh} make. */
final class PtxTest {
  private static final Path SOURCES = Path.of("src/main/cuda");

  private static final List<String> HEADERS =
      List.of(
          "codes.cuh",
          "experts.cuh",
          "fp8.cuh",
          "gather.cuh",
          "hopper.cuh",
          "logits.cuh",
          "tiles.cuh");

  @ParameterizedTest
  @CsvSource({
    "experts, experts",
    "coded, coded",
    "fourbit, fourbit",
    "hopper, hopper",
    "fp8, fp8",
    "tokens, tokens",
    "logits, logits",
    "logits_tensor, logits_tensor",
    "logits_tensor, logits_hopper",
    "choice, choice"
  })
  void thePtxBelongsToItsSource(String name, String made)
      throws IOException, NoSuchAlgorithmException {
    assumeTrue(Files.exists(SOURCES), "the tests run outside their module");
    ByteArrayOutputStream sources = new ByteArrayOutputStream();
    for (String header : HEADERS) {
      sources.write(Files.readAllBytes(SOURCES.resolve(header)));
    }
    sources.write(Files.readAllBytes(SOURCES.resolve(name + ".cu")));
    byte[] hash = MessageDigest.getInstance("SHA-256").digest(sources.toByteArray());
    assertThat(PtxModule.ptx(made + ".ptx"))
        .as("run kernels/src/main/cuda/ptx.sh after a change of %s.cu or a .cuh", name)
        .startsWith(
            "// SHA-256 of %s %s.cu: %s\n"
                .formatted(String.join(" ", HEADERS), name, HexFormat.of().formatHex(hash)));
  }

  @Test
  void thePtxIsForOldDriversAndGpusToo() {
    for (String old :
        List.of(
            Kernels.PORTABLE,
            Kernels.CODED,
            Kernels.FOUR_BIT,
            TokenKernels.TOKENS,
            RouterKernels.LOGITS,
            RouterKernels.LOGITS_TENSOR,
            RouterKernels.CHOICE)) {
      assertThat(PtxModule.ptx(old)).contains("\n.version 7.0\n", "\n.target sm_80\n");
    }
    for (String hopper : List.of(Kernels.HOPPER, Kernels.FP8, RouterKernels.LOGITS_HOPPER)) {
      assertThat(PtxModule.ptx(hopper)).contains("\n.version 8.3\n", "\n.target sm_90a\n");
    }
  }

  @Test
  void everyKernelIsThere() {
    String portable = PtxModule.ptx(Kernels.PORTABLE);
    for (String type : new String[] {"f32", "bf16", "f16"}) {
      for (String name : new String[] {"inner_gated", "inner_plain", "outer"}) {
        assertThat(portable).contains(".visible .entry %s_%s(".formatted(name, type));
      }
    }
    for (CodeType codes : CodeType.values()) {
      for (String name : new String[] {"inner_gated", "inner_plain", "outer"}) {
        assertThat(PtxModule.ptx(Kernels.CODED))
            .contains(".visible .entry %s_%s(".formatted(name, codes.name().toLowerCase(ROOT)));
      }
    }
    for (String name : FourBitProducts.NAMES) {
      for (String form : new String[] {"few", "many"}) {
        assertThat(PtxModule.ptx(Kernels.FOUR_BIT))
            .contains(
                ".visible .entry gated_%s_%s(".formatted(name, form),
                ".visible .entry plain_%s_%s(".formatted(name, form));
      }
    }
    for (String name : new String[] {"inner_gated", "outer", "quantize"}) {
      assertThat(PtxModule.ptx(Kernels.FP8)).contains(".visible .entry %s_fp8(".formatted(name));
    }
    for (String type : new String[] {"f32", "bf16", "f16"}) {
      for (String made :
          List.of(RouterKernels.LOGITS, RouterKernels.LOGITS_TENSOR, RouterKernels.LOGITS_HOPPER)) {
        assertThat(PtxModule.ptx(made))
            .contains(
                ".visible .entry logits_many_%s(".formatted(type),
                ".visible .entry logits_few_%s(".formatted(type));
      }
    }
    for (String type : new String[] {"bf16", "f16"}) {
      for (String name : new String[] {"inner_gated", "inner_plain", "outer"}) {
        assertThat(PtxModule.ptx(Kernels.HOPPER))
            .contains(".visible .entry %s_%s(".formatted(name, type));
      }
    }
  }
}
