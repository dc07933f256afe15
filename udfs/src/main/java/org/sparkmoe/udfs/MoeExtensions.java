package org.sparkmoe.udfs;

import org.apache.spark.sql.SparkSessionExtensions;
import org.sparkmoe.udfs.sql.MoeFunctions;
import scala.runtime.AbstractFunction1;
import scala.runtime.BoxedUnit;

/**
 * The SQL functions {@code moe_…} for every session that is started with {@code
 * spark.sql.extensions=org.sparkmoe.udfs.MoeExtensions} and this jar: in {@code spark-sql},
 * notebooks, PySpark and Java alike. {@code DESCRIBE FUNCTION EXTENDED moe_topk} tells of one.
 */
public final class MoeExtensions extends AbstractFunction1<SparkSessionExtensions, BoxedUnit> {

  /** Called by Spark, by name. */
  public MoeExtensions() {}

  @Override
  public BoxedUnit apply(SparkSessionExtensions extensions) {
    MoeFunctions.inject(extensions);
    return BoxedUnit.UNIT;
  }
}
