package org.sparkmoe.job.verify;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.when;

import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Observation;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.compare.DifferenceFunction;
import org.sparkmoe.udfs.compare.RowDifference;

/**
 * Compares outputs with a reference, token by token, in one join; of what it finds, counts and the
 * worst tokens come to the driver.
 */
public final class Verifier {
  private static final String OUTPUT = "output";
  private static final String REFERENCE = "reference";

  private final SparkSession spark;
  private final int worst;

  /**
   * A comparison.
   *
   * @param worst how many tokens to tell of, at least 1
   */
  public Verifier(SparkSession spark, int worst) {
    if (worst < 1) {
      throw new InputException("--worst %d must be at least 1".formatted(worst));
    }
    this.spark = spark;
    this.worst = worst;
  }

  /**
   * Compares a run's outputs.
   *
   * @param run folder of the run
   * @param reference {@code file.safetensors#tensor}, whose row numbers are token ids, or the
   *     folder of another run
   * @param tolerance of a row's relative L2 distance; by {@link #tolerance(DType)} of the coarser
   *     side when empty
   * @throws InputException where one side is missing or cannot be read, or vectors are of different
   *     widths
   */
  public Verification verify(String run, String reference, OptionalDouble tolerance) {
    OutputVectors ours = OutputVectors.ofRun(spark, run);
    OutputVectors theirs = OutputVectors.ofReference(spark, reference);
    DType type = ours.encoding().dtype();
    DType referenceType = theirs.encoding().dtype();
    double limit = tolerance.orElseGet(() -> Math.max(tolerance(type), tolerance(referenceType)));

    Observation matched = new Observation();
    Observation compared = new Observation();
    Column hasOutput = col(OUTPUT).isNotNull();
    Column hasReference = col(REFERENCE).isNotNull();
    List<TokenDifference> farthest =
        ours
            .rows(OUTPUT)
            .join(
                theirs.rows(REFERENCE),
                scala.jdk.javaapi.CollectionConverters.asScala(List.of("token_id")).toSeq(),
                "full_outer")
            .observe(
                matched,
                countIf(hasOutput.and(col(REFERENCE).isNull())).as("only_output"),
                countIf(hasReference.and(col(OUTPUT).isNull())).as("only_reference"))
            .where(hasOutput.and(hasReference))
            .select("token_id", OUTPUT, REFERENCE)
            .map(
                new DifferenceFunction(type, referenceType),
                Encoders.row(DifferenceFunction.SCHEMA))
            .observe(
                compared,
                count(lit(1)).as("compared"),
                countIf(col("largest").equalTo(0)).as("equal"),
                countIf(col("relative").gt(limit)).as("beyond"))
            .orderBy(col("relative").desc(), col("largest").desc(), col("token_id"))
            .limit(worst)
            .collectAsList()
            .stream()
            .map(Verifier::difference)
            .toList();
    Map<String, Object> unmatched = await(matched);
    Map<String, Object> found = await(compared);
    return new Verification(
        ours,
        theirs,
        limit,
        (long) found.get("compared"),
        (long) found.get("equal"),
        (long) found.get("beyond"),
        (long) unmatched.get("only_output"),
        (long) unmatched.get("only_reference"),
        farthest);
  }

  /**
   * What a row may be off that was computed in f32 and rounded to {@code type}, as a relative L2
   * distance: 2e-5 for f32, which is what implementations differ by; 1e-3 for f16, 1e-2 for bf16.
   */
  public static double tolerance(DType type) {
    return switch (type) {
      case F32 -> 2e-5;
      case F16 -> 1e-3;
      case BF16 -> 1e-2;
    };
  }

  private static Column countIf(Column condition) {
    return count(when(condition, 1));
  }

  private static TokenDifference difference(Row row) {
    return new TokenDifference(
        row.getLong(0),
        new RowDifference(
            row.getDouble(1), row.getDouble(2), row.getInt(3), row.getFloat(4), row.getFloat(5)));
  }

  /** The counts arrive a moment after the rows. */
  private static Map<String, Object> await(Observation counts) {
    try {
      return counts.getAsJava();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while rows were compared", e);
    }
  }
}
