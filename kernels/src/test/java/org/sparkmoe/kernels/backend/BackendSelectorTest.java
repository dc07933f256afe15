package org.sparkmoe.kernels.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.kernels.backend.BackendSelector.Request;
import org.sparkmoe.kernels.backend.BackendSelector.Selection;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.quant.LayerSchemes;
import org.sparkmoe.kernels.quant.ScaledScheme;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.ScaleType;
import org.sparkmoe.kernels.tensor.WeightFormat;

final class BackendSelectorTest {
  private static final Optional<String> NO_ONEDNN = Optional.of("libdnnl.so.3 is missing");
  private static final Optional<String> NO_GPU = Optional.of("there is no libcuda.so.1");
  private static final Probes MODERN =
      new Probes(true, 256, true, NO_ONEDNN, NO_ONEDNN, NO_GPU, NO_GPU);

  private static final Probes WITH_GPU =
      new Probes(
          true, 256, true, Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty());

  @Test
  void autoTakesTheFastestAndKeepsTheRefusals() {
    Selection selection = BackendSelector.select(Request.auto(), MODERN, List.of());
    assertThat(selection.backend()).isEqualTo(Backend.VECTOR);
    assertThat(selection.refusals())
        .extracting(Refusal::backend)
        .containsExactly(Backend.CUDA, Backend.ONEDNN);
    assertThat(selection)
        .hasToString("vector (cuda: there is no libcuda.so.1; onednn: libdnnl.so.3 is missing)");
  }

  @Test
  void oneDnnComesBeforeVectorWhereItRuns() {
    Probes probes = new Probes(true, 256, true, Optional.empty(), Optional.empty(), NO_GPU, NO_GPU);
    assertThat(BackendSelector.select(Request.auto(), probes, List.of()).backend())
        .isEqualTo(Backend.ONEDNN);
  }

  @Test
  void vectorComesBeforeOneDnnForQuantizedWeights() {
    Probes probes = new Probes(true, 256, true, Optional.empty(), Optional.empty(), NO_GPU, NO_GPU);
    QuantFormat int8 = QuantFormat.of(CodeType.INT8, ScaleType.F32, 1, QuantFormat.ALL);
    List<WeightFormat> mixed = List.of(DType.BF16, int8);
    assertThat(BackendSelector.select(Request.auto(), probes, mixed))
        .hasToString("vector (cuda: there is no libcuda.so.1)");
    ScaledScheme perToken = ScaledScheme.dynamic(ActivationScheme.int8(Granularity.TOKEN));
    LayerSchemes bytes = new LayerSchemes(perToken, perToken, ScaledScheme.NONE, ScaledScheme.NONE);
    assertThat(BackendSelector.select(Request.auto(), probes, mixed, bytes).backend())
        .isEqualTo(Backend.ONEDNN);
    Probes narrow = new Probes(true, 128, true, Optional.empty(), Optional.empty(), NO_GPU, NO_GPU);
    assertThat(BackendSelector.select(Request.auto(), narrow, mixed).backend())
        .isEqualTo(Backend.ONEDNN);
    assertThat(BackendSelector.select(Request.parse("onednn"), probes, mixed))
        .hasToString("onednn");
  }

  @Test
  void aGpuComesFirst() {
    assertThat(BackendSelector.select(Request.auto(), WITH_GPU, List.of(DType.BF16)))
        .hasToString("cuda");
  }

  @Test
  void bf16IsChosenByNameOnly() {
    Probes probes = new Probes(false, 0, true, NO_ONEDNN, Optional.empty(), NO_GPU, NO_GPU);
    assertThat(BackendSelector.select(Request.auto(), probes, List.of()).backend())
        .isEqualTo(Backend.SCALAR);
    assertThat(BackendSelector.select(Request.parse("onednn-bf16"), probes, List.of()))
        .hasToString("onednn-bf16");
  }

  @Test
  void librariesAreNotTriedForOtherRequests() {
    for (Backend other : List.of(Backend.SCALAR, Backend.VECTOR)) {
      for (Backend loaded : List.of(Backend.ONEDNN, Backend.CUDA)) {
        assertThat(Probes.gather(List.of(other)).refusal(loaded))
            .contains("it was not asked for, and so not tried");
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "false,0,true,--add-modules=jdk.incubator.vector",
    "true,64,true,at least 128",
    "true,512,false,without its C2 compiler"
  })
  void autoFallsToScalarAndSaysWhy(boolean module, int bits, boolean jit, String reason) {
    Selection selection =
        BackendSelector.select(
            Request.auto(),
            new Probes(module, bits, jit, NO_ONEDNN, NO_ONEDNN, NO_GPU, NO_GPU),
            List.of());
    assertThat(selection.backend()).isEqualTo(Backend.SCALAR);
    assertThat(selection.refusals()).last().asString().startsWith("vector: ").contains(reason);
  }

  @Test
  void explicitRequestsNeverFallBack() {
    assertThatThrownBy(() -> BackendSelector.select(Request.only(Backend.CUDA), MODERN, List.of()))
        .isInstanceOf(BackendUnavailableException.class)
        .hasMessage("backend cuda cannot run here: cuda: there is no libcuda.so.1");
    assertThatThrownBy(
            () ->
                BackendSelector.select(
                    Request.parse("VECTOR"),
                    new Probes(false, 0, true, NO_ONEDNN, NO_ONEDNN, NO_GPU, NO_GPU),
                    List.of()))
        .hasMessageContaining("is not loaded");
  }

  @Test
  void explicitChoiceHasNoRefusals() {
    Selection selection = BackendSelector.select(Request.parse("scalar"), MODERN, List.of());
    assertThat(selection).hasToString("scalar");
  }

  @Test
  void unknownNamesListTheChoices() {
    assertThatThrownBy(() -> Request.parse("fast"))
        .hasMessage(
            "unknown backend 'fast'; choose auto, scalar, vector, onednn, onednn-bf16, cuda");
  }

  @Test
  void gathersTheFactsOfThisJvm() {
    Probes probes = Probes.gather(List.of(Backend.VECTOR));
    assertThat(probes.vectorModule()).isTrue();
    assertThat(probes.vectorBits()).isPositive();
  }

  @Test
  void whatABackendDoesNotUnpackIsARefusalOfIts() {
    QuantFormat ordered = new QuantFormat(CodeType.UINT4, ScaleType.F16, 1, 128, false, true);
    assertThat(Backend.CUDA.refusal(ordered).orElseThrow())
        .isEqualTo(
            "weights stored as uint4 per 1x128, f16 scales, act-order are not unpacked on GPUs in"
                + " this version; use onednn, vector or auto");
    assertThat(Backend.CUDA.refusal(DType.BF16)).isEmpty();
    QuantFormat mxfp4 = QuantFormat.of(CodeType.E2M1, ScaleType.E8M0, 1, 32);
    for (Backend backend : Backend.values()) {
      assertThat(backend.refusal(ordered).isPresent()).isEqualTo(backend == Backend.CUDA);
      assertThat(backend.refusal(mxfp4)).isEmpty();
    }
    Selection selection =
        BackendSelector.select(Request.auto(), WITH_GPU, List.of(DType.BF16, ordered));
    assertThat(selection.backend()).isEqualTo(Backend.VECTOR);
  }

  @Test
  void groupsThatKernelsCannotUnpackAreRefused() {
    assertThat(Backend.CUDA.refusal(QuantFormat.of(CodeType.INT8, ScaleType.F32, 1, 12)))
        .isPresent();
    assertThat(
            Backend.CUDA.refusal(QuantFormat.of(CodeType.INT8, ScaleType.F32, 1, QuantFormat.ALL)))
        .isEmpty();
  }

  @Test
  void quantizedIntermediatesAreRefusedOnGpusOnly() {
    ScaledScheme fp8 = ScaledScheme.dynamic(ActivationScheme.MXFP8);
    LayerSchemes schemes = new LayerSchemes(fp8, fp8, ScaledScheme.NONE, ScaledScheme.NONE);
    Selection selection =
        BackendSelector.select(Request.auto(), WITH_GPU, List.of(DType.BF16), schemes);
    assertThat(selection)
        .hasToString(
            "onednn (cuda: intermediates are quantized on GPUs in e4m3 per 128 values only, beside"
                + " e4m3 weights in blocks of 128x128; give --activation-quant none, or use"
                + " onednn, vector or auto)");
    LayerSchemes input =
        new LayerSchemes(fp8, ScaledScheme.NONE, ScaledScheme.NONE, ScaledScheme.NONE);
    assertThat(BackendSelector.select(Request.auto(), WITH_GPU, List.of(DType.BF16), input))
        .hasToString("cuda");
  }

  @Test
  void gpusMultiplyRowsOfFp8ByBlocksOfFp8() {
    ScaledScheme fp8 = ScaledScheme.dynamic(ActivationScheme.fp8PerBlock(128, ScaleType.F32));
    LayerSchemes routed = new LayerSchemes(fp8, fp8, ScaledScheme.NONE, ScaledScheme.NONE);
    LayerSchemes both = new LayerSchemes(fp8, fp8, fp8, fp8);
    WeightFormat blocks = QuantFormat.of(CodeType.E4M3, ScaleType.F32, 128, 128);
    WeightFormat channels = QuantFormat.of(CodeType.E4M3, ScaleType.F32, 1, QuantFormat.ALL);
    assertThat(chosen(List.of(blocks), routed)).isEqualTo(Backend.CUDA);
    assertThat(chosen(List.of(blocks), both)).isEqualTo(Backend.CUDA);
    assertThat(chosen(List.of(blocks, DType.BF16), routed)).isEqualTo(Backend.CUDA);
    assertThat(chosen(List.of(blocks, DType.BF16), both)).isEqualTo(Backend.VECTOR);
    assertThat(chosen(List.of(DType.BF16), routed)).isEqualTo(Backend.ONEDNN);
    assertThat(chosen(List.of(channels), routed)).isEqualTo(Backend.VECTOR);
    Probes older =
        new Probes(
            true,
            256,
            true,
            Optional.empty(),
            Optional.empty(),
            Optional.empty(),
            Optional.of("this is an older one"));
    assertThat(BackendSelector.select(Request.auto(), older, List.of(blocks), routed))
        .hasToString("vector (cuda: this is an older one)");
  }

  private static Backend chosen(List<WeightFormat> formats, LayerSchemes schemes) {
    return BackendSelector.select(Request.auto(), WITH_GPU, formats, schemes).backend();
  }

  /** oneDNN multiplies what our own code unpacks. */
  @Test
  void oneDnnNeedsTheVectorModuleForQuantizedWeights() {
    QuantFormat mxfp4 = QuantFormat.of(CodeType.E2M1, ScaleType.E8M0, 1, 32);
    Probes bare = new Probes(false, 0, true, Optional.empty(), Optional.empty(), NO_GPU, NO_GPU);
    assertThat(BackendSelector.select(Request.auto(), bare, List.of(DType.BF16)).backend())
        .isEqualTo(Backend.ONEDNN);
    Selection selection = BackendSelector.select(Request.auto(), bare, List.of(mxfp4));
    assertThat(selection.backend()).isEqualTo(Backend.SCALAR);
    assertThat(selection.toString())
        .contains("onednn: weights stored as e2m1 per 1x32, e8m0 scales are unpacked by module");
  }
}
