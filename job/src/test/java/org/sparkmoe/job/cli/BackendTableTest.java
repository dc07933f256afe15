package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.ScaleType;

final class BackendTableTest {

  /** The page holds the table that the code makes; copy it from the message where it changes. */
  @Test
  void theDocumentedTableIsThatOfTheCode() throws IOException {
    String page = Files.readString(Path.of("docs/quantization.md"));
    assertThat(page).contains(String.join("\n", BackendTable.markdown()));
  }

  @Test
  void plainWeightsRunEverywhereAndRefusalsHaveReasons() {
    assertThat(BackendTable.of(List.of(DType.BF16)))
        .containsExactly("scalar, vector, onednn, onednn-bf16, cuda");
    List<String> mixed =
        BackendTable.of(
            List.of(
                DType.BF16, new QuantFormat(CodeType.UINT4, ScaleType.F16, 1, 128, false, true)));
    assertThat(mixed.getFirst()).isEqualTo("scalar, vector, onednn, onednn-bf16");
    assertThat(mixed.getLast()).startsWith("not cuda: weights stored as uint4 per 1x128");
  }
}
