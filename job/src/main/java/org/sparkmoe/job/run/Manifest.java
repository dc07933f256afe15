package org.sparkmoe.job.run;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.tokens.HiddenEncoding;
import org.sparkmoe.datasets.tokens.RowSelection;
import org.sparkmoe.job.plan.Cost;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.ExecutorMemory;
import org.sparkmoe.job.plan.JobPlan;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.LaneBalance;
import org.sparkmoe.job.plan.TokenBytes;
import org.sparkmoe.job.resume.RunState;
import org.sparkmoe.kernels.backend.Refusal;
import org.sparkmoe.kernels.layer.ExpertFormats;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.quant.LayerSchemes;
import org.sparkmoe.kernels.quant.ScaledScheme;

/** {@code manifest.json}: what made a run folder. */
final class Manifest {
  private Manifest() {}

  static String of(RunSummary summary, RunState state, List<String> attempts, SparkSession spark) {
    JobPlan plan = summary.plan();
    Map<String, Object> manifest = new LinkedHashMap<>();
    manifest.put("written", Instant.now().toString());
    plan.request().units().runId().ifPresent(id -> manifest.put("run_id", id));
    manifest.put("versions", versions(spark));
    manifest.put("model", model(plan));
    manifest.put("options", options(plan.request()));
    manifest.put(
        "backend",
        Map.of(
            "chosen", plan.backend().backend().option(),
            "refusals", plan.backend().refusals().stream().map(Refusal::toString).toList()));
    manifest.put("quantization", quantization(summary));
    manifest.put("dispatch", dispatch(summary));
    summary.balance().ifPresent(balance -> manifest.put("lanes", lanes(balance)));
    manifest.put("memory", memory(plan.memory()));
    manifest.put("fingerprint", state.fingerprint());
    manifest.put("chosen", state.chosen());
    manifest.put("counts", counts(summary));
    manifest.put("attempts", attempts);
    manifest.put("units", summary.units().stream().map(Manifest::unit).toList());
    manifest.put("stages", summary.stages().stream().map(stage -> stage(stage, plan)).toList());
    manifest.put("seconds", summary.seconds());
    try {
      return new ObjectMapper()
          .enable(SerializationFeature.INDENT_OUTPUT)
          .writeValueAsString(manifest);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("manifest cannot be written", e);
    }
  }

  private static Map<String, Object> versions(SparkSession spark) {
    String own = Manifest.class.getPackage().getImplementationVersion();
    Map<String, Object> versions = new LinkedHashMap<>();
    versions.put("spark-moe", own == null ? "unpackaged" : own);
    versions.put("spark", spark.version());
    versions.put("java", Runtime.version().toString());
    return versions;
  }

  private static Map<String, Object> model(JobPlan plan) {
    Map<String, Object> model = new LinkedHashMap<>();
    model.put("checkpoint", plan.layer().checkpoint());
    model.put("family", plan.layer().family());
    model.put("layer", plan.layer().index());
    model.put("module", plan.layer().module());
    model.put("fingerprint", plan.layer().fingerprint());
    model.put("shape", shape(plan.layer().spec()));
    return model;
  }

  private static Map<String, Object> shape(MoeLayerSpec spec) {
    Map<String, Object> shape = new LinkedHashMap<>();
    shape.put("hidden", spec.hidden());
    shape.put("experts", spec.experts());
    shape.put("expert_width", spec.intermediate());
    shape.put("top_k", spec.topK());
    return shape;
  }

  private static Map<String, Object> options(JobRequest request) {
    Map<String, Object> options = new LinkedHashMap<>();
    options.put("input", request.tokens().path());
    options.put("input-format", request.tokens().format().toString());
    options.put("output-format", request.outputFormat().option());
    options.put("token-id-column", request.tokens().tokenIdColumn());
    options.put("hidden-column", request.tokens().hiddenColumn());
    request
        .tokens()
        .hiddenDtype()
        .ifPresent(dtype -> options.put("hidden-dtype", HiddenEncoding.nameOf(dtype)));
    options.put("keep-columns", request.tokens().keepColumns());
    RowSelection rows = request.tokens().rows();
    rows.since().ifPresent(since -> options.put("since", since.toString()));
    rows.sample().ifPresent(fraction -> options.put("sample", fraction));
    rows.limit().ifPresent(limit -> options.put("limit", limit));
    options.put("backend", request.backend().name());
    options.put("dispatch", request.dispatch().map(DispatchMode::option).orElse("auto"));
    request.lanes().ifPresent(lanes -> options.put("lanes", lanes));
    options.put("placement", request.placement().option());
    options.put("combine", request.reduction().option());
    request.redundantExperts().ifPresent(n -> options.put("redundant-experts", n));
    options.put("activation-quant", request.activationQuant().option());
    request.weightMemory().ifPresent(bytes -> options.put("weight-memory", bytes));
    request.maxErrors().ifPresent(limit -> options.put("max-errors", limit));
    return options;
  }

  private static Map<String, Object> quantization(RunSummary summary) {
    JobPlan plan = summary.plan();
    LayerSchemes schemes = plan.schemes();
    LayerCodecs codecs = summary.codecs();
    Map<String, Object> quantization = new LinkedHashMap<>();
    quantization.put("weights", formats(plan.layer().formats()));
    plan.layer()
        .sharedFormats()
        .ifPresent(shared -> quantization.put("shared_weights", formats(shared)));
    quantization.put("input", scheme(schemes.input(), codecs.input()));
    quantization.put("inner", scheme(schemes.inner(), codecs.inner()));
    if (plan.layer().spec().shared().isPresent()) {
      quantization.put("shared_input", scheme(schemes.sharedInput(), codecs.sharedInput()));
      quantization.put("shared_inner", scheme(schemes.sharedInner(), codecs.sharedInner()));
    }
    return quantization;
  }

  private static Map<String, Object> formats(ExpertFormats formats) {
    Map<String, Object> labels = new LinkedHashMap<>();
    labels.put("gate_up", formats.in().label());
    labels.put("down", formats.down().label());
    return labels;
  }

  private static Map<String, Object> scheme(ScaledScheme scheme, ActivationCodec codec) {
    Map<String, Object> figures = new LinkedHashMap<>();
    figures.put("scheme", scheme.scheme().label());
    if (scheme.scheme().hasTensorScale()) {
      figures.put("tensor_scale", codec.tensorScale());
      figures.put("tensor_scale_of", scheme.needsAllTokens() ? "all tokens" : "checkpoint");
    }
    return figures;
  }

  private static Map<String, Object> dispatch(RunSummary summary) {
    JobPlan plan = summary.plan();
    TokenBytes token = plan.work().token();
    Map<String, Object> dispatch = new LinkedHashMap<>();
    dispatch.put("mode", plan.dispatch().chosen().mode().option());
    plan.dispatch().lanes().ifPresent(lanes -> dispatch.put("lanes", lanes));
    dispatch.put("reason", plan.dispatch().reason());
    List<Map<String, Object>> estimates =
        plan.dispatch().candidates().stream().map(Manifest::estimate).toList();
    dispatch.put("estimates", estimates);
    dispatch.put("token_bytes", token.codes());
    dispatch.put("token_bytes_f32", token.f32());
    if (plan.dispatch().chosen().mode() == DispatchMode.EP) {
      dispatch.put("tokens_sent", summary.sent());
      dispatch.put("shuffle_bytes", summary.dispatchBytes());
      dispatch.put("shuffle_bytes_f32", summary.dispatchBytesInF32());
    }
    return dispatch;
  }

  private static Map<String, Object> lanes(LaneBalance balance) {
    Map<String, Object> lanes = new LinkedHashMap<>();
    lanes.put("lanes", balance.lanes());
    lanes.put("busiest_over_mean", balance.placed());
    lanes.put("busiest_over_mean_linear", balance.linear());
    lanes.put("experts_on_several_lanes", balance.sharedExperts());
    lanes.put("loads", balance.placedLoads());
    lanes.put("loads_linear", balance.linearLoads());
    return lanes;
  }

  private static Map<String, Object> estimate(Cost cost) {
    Map<String, Object> estimate = new LinkedHashMap<>();
    estimate.put("mode", cost.mode().option());
    estimate.put("seconds", cost.seconds());
    estimate.put("dispatch_bytes", cost.dispatchBytes());
    estimate.put("combine_bytes", cost.combineBytes());
    estimate.put("weight_bytes_per_executor", cost.weightBytes());
    estimate.put("repacks", cost.repacks());
    return estimate;
  }

  private static Map<String, Object> memory(ExecutorMemory executor) {
    Map<String, Object> memory = new LinkedHashMap<>();
    memory.put("layer_bytes", executor.layer().whole());
    executor.asked().ifPresent(bytes -> memory.put("store_bytes", bytes));
    memory.put("buffer_bytes", executor.buffers());
    executor.limit().ifPresent(bytes -> memory.put("limit_bytes", bytes));
    return memory;
  }

  private static Map<String, Object> counts(RunSummary summary) {
    Map<String, Object> counts = new LinkedHashMap<>();
    counts.put("rows", summary.rows());
    counts.put("tokens", summary.tokens());
    counts.put("errors", summary.errors());
    counts.put("routes", summary.routes());
    return counts;
  }

  private static Map<String, Object> unit(FinishedUnit unit) {
    Map<String, Object> figures = new LinkedHashMap<>();
    figures.put("partitions", List.of(unit.first(), unit.end()));
    figures.put("rows", unit.rows());
    figures.put("errors", unit.errors());
    figures.put("files", unit.files().size());
    figures.put("attempt", unit.attempt());
    figures.put("seconds", unit.seconds());
    return figures;
  }

  private static Map<String, Object> stage(StageFigures stage, JobPlan plan) {
    Map<String, Object> figures = new LinkedHashMap<>();
    figures.put("stage", stage.stage().toString());
    figures.put("seconds", stage.seconds());
    figures.put("tasks", stage.tasks());
    figures.put("tokens", stage.tokens());
    if (stage.blocks() > 0) {
      figures.put("blocks", stage.blocks());
    }
    figures.put("shuffle_bytes", stage.shuffleBytes());
    KernelWork kernels = stage.kernels();
    if (kernels.rows() > 0) {
      figures.put("kernel_ms", kernels.millis());
      figures.put("kernel_rows", kernels.rows());
      figures.put("padded_rows", kernels.computedRows() - kernels.rows());
      figures.put("padding", kernels.padding());
      figures.put("gflops", kernels.gigaflops(plan.layer().spec().expertFlops()));
    }
    return figures;
  }
}
