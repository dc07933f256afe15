package org.sparkmoe.udfs.sql;

import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.analysis.NoSuchFunctionException;
import org.apache.spark.sql.connector.catalog.FunctionCatalog;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * The catalog behind {@code moe.…}. Enable it with {@code
 * spark.sql.catalog.moe=org.sparkmoe.udfs.sql.MoeFunctionCatalog} or {@link #register}.
 */
public final class MoeFunctionCatalog implements FunctionCatalog {
  /** Name under which {@link #register} puts the catalog. */
  public static final String NAME = "moe";

  private final Map<String, UnboundFunction> functions = new TreeMap<>();
  private String name = NAME;

  public MoeFunctionCatalog() {
    MoeFunctions.ALL.forEach(this::add);
  }

  /** Makes the functions callable as {@code moe.…} in this session. */
  public static void register(SparkSession session) {
    session.conf().set("spark.sql.catalog." + NAME, MoeFunctionCatalog.class.getName());
  }

  @Override
  public void initialize(String catalogName, CaseInsensitiveStringMap options) {
    name = catalogName;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public Identifier[] listFunctions(String[] namespace) {
    return functions.keySet().stream()
        .map(function -> Identifier.of(new String[0], function))
        .toArray(Identifier[]::new);
  }

  @Override
  public UnboundFunction loadFunction(Identifier identifier) throws NoSuchFunctionException {
    UnboundFunction function = functions.get(identifier.name().toLowerCase(Locale.ROOT));
    if (identifier.namespace().length != 0 || function == null) {
      throw new NoSuchFunctionException(identifier);
    }
    return function;
  }

  private void add(UnboundFunction function) {
    functions.put(function.name(), function);
  }
}
