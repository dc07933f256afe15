package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;

/** Model, tokens and run on HDFS, over a name node and a data node in this JVM. */
@ExtendWith(LocalSpark.class)
final class HdfsTest {
  private static final String FAMILY = "qwen2_moe";
  private static final String TENSOR = "model.layers.1.mlp.input";

  @TempDir private static java.nio.file.Path folder;

  private static MiniDFSCluster cluster;
  private static FileSystem files;
  private static String root;

  @BeforeAll
  static void start(SparkSession spark) throws IOException {
    Configuration conf = new Configuration();
    conf.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, folder.resolve("hdfs").toString());
    cluster = new MiniDFSCluster.Builder(conf).numDataNodes(1).build();
    files = cluster.getFileSystem();
    root = files.getUri().toString();
    files.copyFromLocalFile(new Path(Fixtures.folder(FAMILY).toString()), new Path("/model"));
    spark
        .read()
        .format("moe-safetensors")
        .load(Fixtures.folder(FAMILY).resolve("reference.safetensors") + "#" + TENSOR)
        .repartition(3)
        .write()
        .parquet(root + "/tokens");
    spark
        .sparkContext()
        .hadoopConfiguration()
        .set("spark.moe.cache.dir", folder.resolve("cache").toString());
  }

  @AfterAll
  static void stop(SparkSession spark) {
    spark.sparkContext().hadoopConfiguration().unset("spark.moe.cache.dir");
    cluster.shutdown(true);
  }

  private static List<String> run(String model, String input, String output, String... more) {
    return Stream.concat(
            Stream.of(
                "run",
                "--model",
                model,
                "--layer",
                "1",
                "--backend",
                "scalar",
                "--input",
                input,
                "--output",
                output),
            Arrays.stream(more))
        .toList();
  }

  private static List<Row> outputs(SparkSession spark, String run) {
    return spark.read().parquet(run + "/outputs").orderBy("token_id").collectAsList();
  }

  @Test
  void aRunOnHdfsHasTheRowsOfALocalOne(SparkSession spark) throws IOException {
    String local = folder.resolve("local").toString();
    String model = Fixtures.folder(FAMILY).toString();
    String tensor = model + "/reference.safetensors#" + TENSOR;
    Cli.execute(Map.of(), run(model, tensor, local)).isDone();

    Cli.execute(
            Map.of(),
            run(
                root + "/model",
                root + "/tokens",
                root + "/ep",
                "--dispatch",
                "ep",
                "--lanes",
                "3"))
        .isDone();
    Cli.execute(
            Map.of(),
            run(
                root + "/model",
                root + "/model/reference.safetensors#" + TENSOR,
                root + "/replicated",
                "--dispatch",
                "replicated"))
        .isDone();

    for (String name : List.of("/ep", "/replicated")) {
      assertThat(outputs(spark, root + name)).as(name).isEqualTo(outputs(spark, local)).hasSize(60);
      assertThat(spark.read().parquet(root + name + "/routes").count()).isEqualTo(240);
      assertThat(files.exists(new Path(name, "manifest.json"))).isTrue();
    }
    assertThat(
            Arrays.stream(files.listStatus(new Path("/")))
                .map(FileStatus::getPath)
                .map(Path::getName))
        .containsExactlyInAnyOrder("model", "tokens", "ep", "replicated");
  }
}
