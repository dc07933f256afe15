package org.sparkmoe.kernels.onednn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.testing.NeedsOneDnn;

@NeedsOneDnn
final class DnnlTest {

  @Test
  void runsHere() {
    assertThat(OneDnn.refusal()).isEmpty();
    assertThat(OneDnn.description()).startsWith("oneDNN 3.");
  }

  @Test
  void aFailureHasItsCallAndStatusByNameAndValue() {
    Dnnl dnnl = Library.dnnl();
    assertThatThrownBy(
            () -> dnnl.create("dnnl_engine_create", dnnl.bindings().engineCreate(), 1, 7L))
        .isInstanceOf(DnnlException.class)
        .hasMessage("dnnl_engine_create: dnnl_invalid_arguments (status 2)");
    assertThatThrownBy(() -> DnnlException.check(77, "f"))
        .hasMessage("f: dnnl_unknown (status 77)");
  }

  @Test
  void aFileThatIsNoLibraryIsNamedInTheLoadersWords(@TempDir Path folder) throws IOException {
    Path file = Files.write(folder.resolve("libnone.so"), new byte[4096]);
    assertThatThrownBy(() -> new Dnnl(file))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("libnone.so")
        .hasMessageContaining("invalid ELF header");
  }

  @Test
  void aProductWithoutAFastKernelIsRefusedByName() {
    PostOp gate = PostOp.of(PostOp.Kind.TIMES_GATE);
    MatmulDesc strided =
        new MatmulDesc(
            8,
            64,
            48,
            ElementType.F32,
            64,
            ElementType.F32,
            ElementType.F32,
            50,
            false,
            false,
            List.of(gate));
    try (Handles handles = new Handles()) {
      assertThatThrownBy(() -> strided.preferredWeights(handles))
          .isInstanceOf(DnnlException.class)
          .hasMessageContaining("no fast product of F32 rows and F32 weights of 48 x 64");
    }
  }

  @Test
  void tilesOfAShapeAreSharedWhileSomebodyHoldsThem() {
    WeightTiles tiles = WeightTiles.of(96, 64, DType.BF16, DType.F32);
    assertThat(WeightTiles.of(96, 64, DType.BF16, DType.F32)).isSameAs(tiles);
    assertThat(WeightTiles.of(96, 64, DType.F16, DType.F32)).isNotSameAs(tiles);
  }
}
