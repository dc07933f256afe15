package org.sparkmoe.job.plan;

import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;
import org.apache.spark.util.SerializableConfiguration;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.kernels.backend.BackendSelector;
import org.sparkmoe.kernels.backend.BackendSelector.Selection;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.layer.LayerMemory;
import org.sparkmoe.kernels.natives.NativeCache;
import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.kernels.permute.LoadBalancer;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.quant.LayerPeaks;
import org.sparkmoe.kernels.quant.LayerSchemes;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.tokens.TokenFormat;
import scala.Tuple2;

/** Decides once, on the driver, what every task does. */
public final class Planner {
  private final JobRequest request;
  private final MoeLayer layer;
  private final Selection backend;
  private final SparkContext context;
  private final SerializableConfiguration hadoop;
  private final LayerSchemes schemes;
  private final String runId = UUID.randomUUID().toString();

  private Planner(
      JobRequest request,
      MoeLayer layer,
      Selection backend,
      SparkContext context,
      SerializableConfiguration hadoop) {
    this.request = request;
    this.layer = layer;
    this.backend = backend;
    this.context = context;
    this.hadoop = hadoop;
    this.schemes = schemes(request, layer);
  }

  private static LayerSchemes schemes(JobRequest request, MoeLayer layer) {
    return request.activationQuant() == JobRequest.ActivationQuant.NONE
        ? LayerSchemes.NONE
        : layer.schemes();
  }

  /**
   * Opens the checkpoint and chooses the backend.
   *
   * @throws org.sparkmoe.datasets.InputException for a checkpoint or layer that cannot be used, or
   *     more lanes than experts, or a store of weights that is too small
   * @throws org.sparkmoe.kernels.backend.BackendUnavailableException for a backend that cannot run
   */
  public static Planner of(JobRequest request, SparkContext context) {
    Configuration hadoop = hadoop(context);
    return of(
        request, Checkpoint.open(request.model(), hadoop).layer(request.layer()), hadoop, context);
  }

  /** As above, for a layer that is already known. */
  public static Planner of(JobRequest request, MoeLayer layer, SparkContext context) {
    return of(request, layer, hadoop(context), context);
  }

  private static Planner of(
      JobRequest request, MoeLayer layer, Configuration hadoop, SparkContext context) {
    NativeCache.nameFolder(hadoop.get(NativeCache.FOLDER_PROPERTY));
    Selection backend =
        BackendSelector.select(request.backend(), formats(layer), schemes(request, layer));
    request.lanes().ifPresent(n -> DispatchPlanner.requireLanes(n, layer.spec().experts()));
    Planner planner =
        new Planner(request, layer, backend, context, new SerializableConfiguration(hadoop));
    planner.memory();
    return planner;
  }

  /** How the layer's experts are stored. */
  public static List<WeightFormat> formats(MoeLayer layer) {
    return Stream.concat(Stream.of(layer.formats()), layer.sharedFormats().stream())
        .flatMap(expert -> Stream.of(expert.in(), expert.down()))
        .distinct()
        .toList();
  }

  /** Spark's own, with the {@code spark.moe.*} settings, which Spark does not pass on to Hadoop. */
  private static Configuration hadoop(SparkContext context) {
    Configuration hadoop = new Configuration(context.hadoopConfiguration());
    for (Tuple2<String, String> setting : context.getConf().getAllWithPrefix("spark.moe.")) {
      hadoop.set("spark.moe." + setting._1(), setting._2());
    }
    return hadoop;
  }

  public JobRequest request() {
    return request;
  }

  /** Names this run. */
  public String runId() {
    return runId;
  }

  public MoeLayer layer() {
    return layer;
  }

  /** How activations are quantized: as the checkpoint asks, unless the request says not at all. */
  public LayerSchemes schemes() {
    return schemes;
  }

  /**
   * Bytes of a dispatched token.
   *
   * @param hidden elements of the table's vectors
   */
  public TokenBytes tokenBytes(DType hidden) {
    // of bytes, scales only have to be there
    return TokenBytes.of(layer.spec(), schemes.codecs(LayerPeaks.NONE), hidden);
  }

  public Selection backend() {
    return backend;
  }

  /**
   * Memory of an executor of the cluster as it is now.
   *
   * @throws org.sparkmoe.datasets.InputException for a store asked for that is too small
   */
  public ExecutorMemory memory() {
    return memory(ClusterFacts.of(context));
  }

  private ExecutorMemory memory(ClusterFacts cluster) {
    return ExecutorMemory.of(
        LayerMemory.of(
            layer.spec(),
            layer.formats(),
            layer.sharedFormats().orElse(null),
            ExpertKernel.of(backend.backend())),
        cluster,
        LayerPlan.taskBytes(batchBytes(cluster)),
        request.weightMemory());
  }

  /**
   * The plan for so many tokens. Asks the cluster what it is now: executors register while the
   * first tasks wait, so this comes after a pass over the input.
   *
   * @param hidden elements of the table's vectors
   */
  public JobPlan plan(long tokens, int partitions, DType hidden) {
    ClusterFacts cluster = ClusterFacts.of(context);
    ExecutorMemory memory = memory(cluster);
    Workload work =
        Workload.of(
            layer.spec(),
            layer.storedBytes(),
            tokens,
            Math.max(1, partitions),
            tokenBytes(hidden),
            schemes.needsInnerPeaks() ? 2 : 1,
            LayerPlan.batchTokens(layer.spec(), batchBytes(cluster)),
            request.reduction(),
            // which balancing keeps where loads allow it, and they are not known yet
            request.placement() != JobRequest.Placement.ROUND_ROBIN);
    return new JobPlan(
        request,
        layer,
        schemes,
        backend,
        cluster,
        memory,
        work,
        DispatchPlanner.plan(work, cluster, memory, request.dispatch(), request.lanes()));
  }

  /** Where everything is on one lane: for the passes that have none. */
  public ExpertPlacement oneLane() {
    return ExpertPlacement.linear(layer.spec().experts(), 1);
  }

  /**
   * Experts on lanes.
   *
   * @param loads assignments by expert
   */
  public ExpertPlacement placement(int lanes, long[] loads) {
    int experts = layer.spec().experts();
    return switch (request.placement()) {
      case BALANCED -> LoadBalancer.balance(loads, lanes, request.redundantExperts().orElse(lanes));
      case LINEAR -> ExpertPlacement.linear(experts, lanes);
      case ROUND_ROBIN -> ExpertPlacement.roundRobin(experts, lanes);
    };
  }

  /**
   * What tasks get.
   *
   * @param codecs of {@link #schemes}, with all scales that have to be known
   */
  public LayerPlan layerPlan(
      TokenFormat tokens, DType outputDtype, ExpertPlacement placement, LayerCodecs codecs) {
    ClusterFacts cluster = ClusterFacts.of(context);
    return new LayerPlan(
        runId,
        layer,
        backend.backend(),
        codecs,
        placement,
        request.reduction(),
        tokens,
        outputDtype,
        batchBytes(cluster),
        memory(cluster).store(),
        hadoop);
  }

  /** Tokens that a task computes together, at most, on the cluster as it is now. */
  public int batchTokens() {
    return LayerPlan.batchTokens(layer.spec(), batchBytes(ClusterFacts.of(context)));
  }

  /** The tasks that an executor runs at a time share a memory bound. */
  private long batchBytes(ClusterFacts cluster) {
    int cores = Math.ceilDiv(cluster.slots(), cluster.executors());
    int perTask = context.getConf().getInt("spark.task.cpus", 1);
    return LayerPlan.batchBytes(Math.max(1, cores / perTask));
  }
}
