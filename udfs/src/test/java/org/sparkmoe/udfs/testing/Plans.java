package org.sparkmoe.udfs.testing;

import java.nio.file.Path;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.SerializableConfiguration;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.plan.Reduction;
import org.sparkmoe.udfs.tokens.TokenFormat;

/**
 * Plans of a layer. By default: the scalar backend, one lane, f32 activations, no kept column.
 *
 * @param runId of all plans made from here
 */
public record Plans(
    MoeLayer layer,
    String runId,
    Backend backend,
    LayerCodecs codecs,
    int lanes,
    StructType keptOrNull,
    long batchBytes,
    long storeBytes) {

  /** Plans of the last layer of a fixture. */
  public static Plans fixture(String family) {
    int layer =
        Fixtures.blocks().stream()
            .filter(block -> block.family().equals(family))
            .mapToInt(Fixtures.Block::layer)
            .max()
            .orElseThrow();
    return of(Fixtures.folder(family), layer);
  }

  /** Plans of a layer of a checkpoint. */
  public static Plans of(Path folder, int layer) {
    return new Plans(
        Checkpoint.open(folder.toString(), new Configuration(false)).layer(layer),
        UUID.randomUUID().toString(),
        Backend.SCALAR,
        LayerCodecs.NONE,
        1,
        null,
        LayerPlan.batchBytes(1),
        Long.MAX_VALUE);
  }

  public Plans withRunId(String value) {
    return new Plans(layer, value, backend, codecs, lanes, keptOrNull, batchBytes, storeBytes);
  }

  public Plans withBackend(Backend value) {
    return new Plans(layer, runId, value, codecs, lanes, keptOrNull, batchBytes, storeBytes);
  }

  public Plans withCodec(ActivationCodec value) {
    return new Plans(
        layer,
        runId,
        backend,
        LayerCodecs.ofInput(value),
        lanes,
        keptOrNull,
        batchBytes,
        storeBytes);
  }

  public Plans withCodecs(LayerCodecs value) {
    return new Plans(layer, runId, backend, value, lanes, keptOrNull, batchBytes, storeBytes);
  }

  public Plans withLanes(int value) {
    return new Plans(layer, runId, backend, codecs, value, keptOrNull, batchBytes, storeBytes);
  }

  public Plans keeping(StructType value) {
    return new Plans(layer, runId, backend, codecs, lanes, value, batchBytes, storeBytes);
  }

  public Plans withBatchBytes(long value) {
    return new Plans(layer, runId, backend, codecs, lanes, keptOrNull, value, storeBytes);
  }

  public Plans withStoreBytes(long value) {
    return new Plans(layer, runId, backend, codecs, lanes, keptOrNull, batchBytes, value);
  }

  public LayerPlan plan() {
    return plan(null);
  }

  /** The plan that knows of these duplicated ids. */
  public LayerPlan plan(Broadcast<long[]> duplicatesOrNull) {
    return new LayerPlan(
        runId,
        layer,
        backend,
        codecs,
        ExpertPlacement.linear(layer.spec().experts(), lanes),
        Reduction.EXPERT_ORDER,
        new TokenFormat(layer.spec().hidden(), DType.F32, keptOrNull, duplicatesOrNull),
        DType.F32,
        batchBytes,
        storeBytes,
        new SerializableConfiguration(new Configuration(false)));
  }

  /** {@code plan} over tables of vectors of {@code dtype}. */
  public static LayerPlan reading(LayerPlan plan, DType dtype) {
    TokenFormat tokens = plan.tokens();
    return new LayerPlan(
        plan.runId(),
        plan.layer(),
        plan.backend(),
        plan.codecs(),
        plan.placement(),
        plan.reduction(),
        new TokenFormat(tokens.hidden(), dtype, tokens.keptOrNull(), tokens.duplicatesOrNull()),
        plan.outputDtype(),
        plan.batchBytes(),
        plan.storeBytes(),
        plan.hadoop());
  }

  /** {@code plan} with its experts elsewhere, or its slots summed by others. */
  public static LayerPlan changed(LayerPlan plan, ExpertPlacement placement, Reduction reduction) {
    return new LayerPlan(
        plan.runId(),
        plan.layer(),
        plan.backend(),
        plan.codecs(),
        placement,
        reduction,
        plan.tokens(),
        plan.outputDtype(),
        plan.batchBytes(),
        plan.storeBytes(),
        plan.hadoop());
  }
}
