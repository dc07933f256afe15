import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * Makes a checkpoint of one layer and a table of tokens for it, both random and the same for the
 * same numbers: {@code ScaleInput FOLDER TOKENS H INTERMEDIATE EXPERTS TOP_K even|zipf|one
 * f32|bf16}.
 *
 * <p>{@code even} lets the router spread tokens; {@code zipf} adds a column of input that is always
 * 1, which the router weighs so that expert e is chosen about as often as 1 / (e + 1)^1.2; {@code
 * one} sends every token to the same top-k experts, since equal scores go to the lower id.
 */
public final class ScaleInput {
  private static final int FILES = 16;
  private static final double EXPONENT = 1.2;

  private ScaleInput() {}

  /** A tensor to write: values drawn in order, scaled. */
  private record Tensor(String name, int rows, int columns, float scale, boolean narrow) {
    private int bytes() {
      return (narrow ? 2 : 4) * rows * columns;
    }
  }

  public static void main(String[] args) throws IOException {
    Path folder = Path.of(args[0]);
    long tokens = Long.parseLong(args[1]);
    int hidden = Integer.parseInt(args[2]);
    int intermediate = Integer.parseInt(args[3]);
    int experts = Integer.parseInt(args[4]);
    int topK = Integer.parseInt(args[5]);
    boolean narrow = args[7].equals("bf16");
    writeModel(folder.resolve("model"), hidden, intermediate, experts, topK, args[6], narrow);
    writeTokens(folder.resolve("tokens"), tokens, hidden);
  }

  private static void writeModel(
      Path folder,
      int hidden,
      int intermediate,
      int experts,
      int topK,
      String routing,
      boolean narrow)
      throws IOException {
    Files.createDirectories(folder);
    Files.writeString(
        folder.resolve("config.json"),
        """
        {"model_type":"mixtral","hidden_size":%d,"intermediate_size":%d,"num_local_experts":%d,
         "num_experts_per_tok":%d,"num_hidden_layers":1,"hidden_act":"silu"}
        """
            .formatted(hidden, intermediate, experts, topK));
    String module = "model.layers.0.block_sparse_moe.";
    List<Tensor> tensors = new ArrayList<>();
    tensors.add(new Tensor(module + "gate.weight", experts, hidden, 1, false));
    for (int e = 0; e < experts; e++) {
      String expert = module + "experts." + e + ".";
      float scale = (float) (1 / Math.sqrt(hidden));
      tensors.add(new Tensor(expert + "w1.weight", intermediate, hidden, scale, narrow));
      tensors.add(new Tensor(expert + "w2.weight", hidden, intermediate, scale, narrow));
      tensors.add(new Tensor(expert + "w3.weight", intermediate, hidden, scale, narrow));
    }
    StringBuilder header = new StringBuilder("{");
    long end = 0;
    for (Tensor tensor : tensors) {
      long begin = end;
      end += tensor.bytes();
      header
          .append(header.length() > 1 ? "," : "")
          .append(
              "\"%s\":{\"dtype\":\"%s\",\"shape\":[%d,%d],\"data_offsets\":[%d,%d]}"
                  .formatted(
                      tensor.name(),
                      tensor.narrow() ? "BF16" : "F32",
                      tensor.rows(),
                      tensor.columns(),
                      begin,
                      end));
    }
    byte[] json = header.append('}').toString().getBytes(StandardCharsets.UTF_8);
    try (FileChannel out =
        FileChannel.open(
            folder.resolve("model.safetensors"),
            StandardOpenOption.CREATE,
            StandardOpenOption.WRITE,
            StandardOpenOption.TRUNCATE_EXISTING)) {
      out.write(
          ByteBuffer.allocate(8 + json.length)
              .order(ByteOrder.LITTLE_ENDIAN)
              .putLong(json.length)
              .put(json)
              .flip());
      SplittableRandom random = new SplittableRandom(1);
      for (Tensor tensor : tensors) {
        out.write(values(tensor, random, routing));
      }
    }
  }

  private static ByteBuffer values(Tensor tensor, SplittableRandom random, String routing) {
    ByteBuffer bytes = ByteBuffer.allocate(tensor.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    boolean router = tensor.name().endsWith("gate.weight");
    for (int row = 0; row < tensor.rows(); row++) {
      for (int column = 0; column < tensor.columns(); column++) {
        double value = tensor.scale() * random.nextDouble(-1, 1);
        if (router && routing.equals("one")) {
          value = 0;
        } else if (router && routing.equals("zipf")) {
          // Gumbel noise on log-probabilities chooses by them; the sum over inputs stands for it.
          value =
              column == 0
                  ? -EXPONENT * Math.log(row + 1.0)
                  : value * 1.28 * 3 / Math.sqrt(tensor.columns());
        }
        if (tensor.narrow()) {
          bytes.putShort((short) (Float.floatToRawIntBits((float) value) >>> 16));
        } else {
          bytes.putFloat((float) value);
        }
      }
    }
    return bytes.flip();
  }

  private static void writeTokens(Path folder, long tokens, int hidden) throws IOException {
    try (SparkSession spark =
        SparkSession.builder()
            .master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.parquet.compression.codec", "none")
            .getOrCreate()) {
      MapPartitionsFunction<Long, Row> made =
          ids -> {
            Iterable<Long> all = () -> ids;
            Iterator<Row> rows =
                java.util.stream.StreamSupport.stream(all.spliterator(), false)
                    .map(id -> RowFactory.create(id, vector(id, hidden)))
                    .iterator();
            return rows;
          };
      spark
          .range(0, tokens, 1, FILES)
          .as(Encoders.LONG())
          .mapPartitions(
              made,
              Encoders.row(
                  new StructType()
                      .add("token_id", DataTypes.LongType)
                      .add("hidden", DataTypes.BinaryType)))
          .write()
          .parquet(folder.toString());
    }
  }

  /** The first value is 1, for routers that have a favourite. */
  private static byte[] vector(long id, int hidden) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * hidden).order(ByteOrder.LITTLE_ENDIAN);
    SplittableRandom random = new SplittableRandom(id);
    bytes.putFloat(1);
    LongStream.range(1, hidden).forEach(i -> bytes.putFloat((float) random.nextDouble(-1, 1)));
    return bytes.array();
  }
}
