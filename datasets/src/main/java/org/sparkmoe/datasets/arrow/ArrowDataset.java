package org.sparkmoe.datasets.arrow;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;

/** The files of one read, all with the same columns. */
record ArrowDataset(String path, List<ArrowIndex> files, List<ArrowColumn> columns) {

  static ArrowDataset open(String path, Configuration conf) {
    List<ArrowIndex> files = ArrowFiles.index(path, conf);
    ArrowIndex first = files.getFirst();
    List<ArrowColumn> columns = columns(first);
    for (ArrowIndex file : files.subList(1, files.size())) {
      requireSame(first, columns, file);
    }
    return new ArrowDataset(path, files, columns);
  }

  static List<ArrowColumn> columns(List<Field> fields) {
    return fields.stream().map(ArrowColumn::of).toList();
  }

  /** All columns are nullable: files say whether they hold nulls batch by batch. */
  StructType schema() {
    StructType schema = new StructType();
    for (ArrowColumn column : columns) {
      schema = schema.add(new StructField(column.name(), column.type(), true, column.metadata()));
    }
    return schema;
  }

  long bytes() {
    return files.stream().mapToLong(ArrowIndex::length).sum();
  }

  private static List<ArrowColumn> columns(ArrowIndex file) {
    List<ArrowColumn> columns =
        ArrowInput.guard(file.path(), () -> columns(file.schema().getFields()));
    Set<String> names = new HashSet<>();
    for (ArrowColumn column : columns) {
      if (column.name() == null) {
        throw new InputException(
            "Arrow file %s has a column without a name; name it".formatted(file.path()));
      }
      if (!names.add(column.name())) {
        throw new InputException(
            "Arrow file %s has two columns named %s; rename one"
                .formatted(file.path(), Quoted.of(column.name())));
      }
    }
    return columns;
  }

  private static void requireSame(ArrowIndex first, List<ArrowColumn> columns, ArrowIndex file) {
    List<ArrowColumn> others = columns(file);
    for (int i = 0; i < Math.max(columns.size(), others.size()); i++) {
      boolean both = i < columns.size() && i < others.size();
      if (!both || !columns.get(i).agreesWith(others.get(i))) {
        throw new InputException(
            "Arrow files disagree on column %d: %s has %s, %s has %s; read them one by one"
                .formatted(
                    i + 1, file.path(), describe(others, i), first.path(), describe(columns, i)));
      }
    }
  }

  private static String describe(List<ArrowColumn> columns, int i) {
    if (i >= columns.size()) {
      return "none";
    }
    Field field = columns.get(i).field();
    StringBuilder text = new StringBuilder(Quoted.of(field.getName()));
    text.append(' ').append(field.getType());
    field.getChildren().forEach(child -> text.append(" of ").append(child.getType()));
    return text.toString();
  }
}
