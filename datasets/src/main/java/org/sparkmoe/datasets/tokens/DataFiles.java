package org.sparkmoe.datasets.tokens;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.delta.DeltaTables;

/** The files that an input consists of. */
public final class DataFiles {
  private final FileSystem files;
  private final List<DataFile> found = new ArrayList<>();

  private DataFiles(FileSystem files) {
    this.files = files;
  }

  /**
   * The files in or under {@code path}, in order of their paths; those that Spark takes for hidden
   * are left out. Of a Delta table the files of its log, which names all others. Looks at folders
   * only.
   *
   * @param path a file, folder or glob, or a tensor behind {@code #}
   * @throws InputException where it does not exist or cannot be read
   */
  public static List<DataFile> of(String path, InputFormat format, Configuration conf) {
    int hash = format == InputFormat.SAFETENSORS ? path.lastIndexOf('#') : -1;
    String plain = hash < 0 ? path : path.substring(0, hash);
    try {
      Path pattern =
          format == InputFormat.DELTA ? new Path(plain, DeltaTables.LOG) : new Path(plain);
      DataFiles walk = new DataFiles(pattern.getFileSystem(conf));
      for (FileStatus match : new FormatDetector(plain, conf).matches(walk.files, pattern)) {
        walk.add(match);
      }
      walk.found.sort(Comparator.comparing(DataFile::path));
      return List.copyOf(walk.found);
    } catch (IOException | IllegalArgumentException e) {
      throw new InputException("cannot read input " + path + ": " + InputFailures.firstLine(e), e);
    }
  }

  private void add(FileStatus status) throws IOException {
    if (status.isFile()) {
      found.add(
          new DataFile(status.getPath().toString(), status.getLen(), status.getModificationTime()));
      return;
    }
    for (FileStatus child : files.listStatus(status.getPath())) {
      String name = child.getPath().getName();
      if (!name.startsWith("_") && !name.startsWith(".")) {
        add(child);
      }
    }
  }
}
