package org.sparkmoe.udfs.sql;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.QueryContext;
import org.apache.spark.sql.AnalysisException;
import org.apache.spark.sql.catalyst.FunctionIdentifier;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.Cast;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.ExpressionInfo;
import org.apache.spark.sql.catalyst.expressions.V2ExpressionUtils;
import org.apache.spark.sql.catalyst.expressions.aggregate.V2Aggregator;
import org.apache.spark.sql.connector.catalog.functions.AggregateFunction;
import org.apache.spark.sql.connector.catalog.functions.BoundFunction;
import org.apache.spark.sql.connector.catalog.functions.ScalarFunction;
import org.apache.spark.sql.types.DataType;
import org.sparkmoe.datasets.InputException;
import scala.Function1;
import scala.Option;
import scala.Tuple3;
import scala.collection.immutable.Map$;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;
import scala.runtime.AbstractFunction1;

/**
 * Makes the expression of a call without a catalog: the same one that Spark makes for a catalog's
 * function, after the constants have been looked at, which a catalog never sees.
 */
final class FunctionBuilder extends AbstractFunction1<Seq<Expression>, Expression> {
  private final Signature signature;
  private final String called;

  FunctionBuilder(Signature signature) {
    this.signature = signature;
    this.called = MoeFunctions.PREFIX + signature.name();
  }

  /** Name, text and builder, as Spark registers them. */
  Tuple3<FunctionIdentifier, ExpressionInfo, Function1<Seq<Expression>, Expression>> described() {
    return new Tuple3<>(
        new FunctionIdentifier(called), FunctionTexts.describe(called, signature), this);
  }

  @Override
  public Expression apply(Seq<Expression> given) {
    List<Expression> arguments = CollectionConverters.asJava(given);
    try {
      Form form = signature.form(called, arguments.stream().map(Expression::dataType).toList());
      BoundFunction function = bind(form, arguments);
      Seq<Expression> cast = cast(form, arguments);
      return switch (function) {
        case ScalarFunction<?> scalar -> V2ExpressionUtils.resolveScalarFunction(scalar, cast);
        case AggregateFunction<?, ?> aggregate -> new V2Aggregator<>(aggregate, cast, 0, 0);
        default -> throw new AssertionError(function);
      };
    } catch (IllegalArgumentException | InputException e) {
      throw FunctionBuilder.<RuntimeException>analysisError(e);
    }
  }

  private BoundFunction bind(Form form, List<Expression> arguments) {
    Object[] constants = new Object[arguments.size()];
    for (int i = 0; i < constants.length; i++) {
      Argument argument = signature.arguments().get(i);
      if (argument.constant()) {
        if (!arguments.get(i).foldable()) {
          throw new IllegalArgumentException(
              "%s: %s must be a constant, not %s; it is the same for all rows"
                  .formatted(called, argument.name(), arguments.get(i).sql()));
        }
        constants[i] = arguments.get(i).eval(InternalRow.empty());
      }
    }
    try {
      return form.binder().bind(constants);
    } catch (IllegalArgumentException | InputException e) {
      throw new IllegalArgumentException(called + ": " + e.getMessage(), e);
    }
  }

  private static Seq<Expression> cast(Form form, List<Expression> arguments) {
    List<Expression> cast = new ArrayList<>(arguments);
    for (int i = 0; i < cast.size(); i++) {
      DataType wanted = form.inputTypes().get(i);
      if (Form.narrows(wanted, cast.get(i).dataType())) {
        cast.set(i, new Cast(cast.get(i), wanted, Option.empty()));
      }
    }
    return CollectionConverters.asScala(cast).toList();
  }

  /** Spark's own exception for queries that make no sense, which is a checked one. */
  @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"})
  private static <E extends Exception> E analysisError(RuntimeException cause) throws E {
    throw (E)
        new AnalysisException(
            cause.getMessage(),
            Option.empty(),
            Option.empty(),
            Option.apply(cause),
            Option.empty(),
            Map$.MODULE$.empty(),
            new QueryContext[0]);
  }
}
