package org.sparkmoe.datasets.checkpoint.write;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;
import org.sparkmoe.datasets.safetensors.TensorInfo;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.ScaleType;

/** A written checkpoint, read back by its index. */
record Written(Path folder, JsonNode config, Map<String, SafetensorsFile> fileOf) {

  /** Checks what holds for every checkpoint. */
  static Written open(Path folder) {
    JsonNode index = json(folder.resolve("model.safetensors.index.json"));
    Map<String, SafetensorsFile> files = new TreeMap<>();
    Map<String, SafetensorsFile> fileOf = new TreeMap<>();
    for (Map.Entry<String, JsonNode> entry : index.get("weight_map").properties()) {
      String shard = entry.getValue().asText();
      SafetensorsFile file =
          files.computeIfAbsent(shard, name -> SafetensorsFile.open(folder.resolve(name)));
      TensorInfo info = file.tensor(entry.getKey());
      if (info.dtype().bits() >= Byte.SIZE) {
        assertThat(info.begin() % (info.dtype().bits() / 8)).as(info.name()).isZero();
      }
      fileOf.put(entry.getKey(), file);
    }
    long bytes = 0;
    int tensors = 0;
    for (SafetensorsFile file : files.values()) {
      assertThat(file.header().metadata()).containsEntry("format", "pt");
      tensors += file.tensors().size();
      bytes += file.tensors().values().stream().mapToLong(TensorInfo::bytes).sum();
    }
    assertThat(tensors).isEqualTo(fileOf.size());
    assertThat(index.get("metadata").get("total_size").asLong()).isEqualTo(bytes);
    assertThat(names(folder)).noneMatch(name -> name.startsWith("."));
    assertThat(shards(folder)).containsExactlyElementsOf(files.keySet());
    return new Written(folder, json(folder.resolve("config.json")), fileOf);
  }

  static List<String> names(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static List<String> shards(Path folder) {
    return names(folder).stream().filter(name -> name.endsWith(".safetensors")).toList();
  }

  private static JsonNode json(Path file) {
    try {
      return JsonMapper.builder()
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          .build()
          .readTree(file.toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  JsonNode quantization() {
    return config.get("quantization_config");
  }

  List<String> strings(String key) {
    List<String> values = new ArrayList<>();
    quantization().get(key).forEach(value -> values.add(value.asText()));
    return values;
  }

  TensorInfo info(String name) {
    assertThat(fileOf).containsKey(name);
    return fileOf.get(name).tensor(name);
  }

  byte[] data(String name) {
    assertThat(fileOf).containsKey(name);
    return fileOf.get(name).data(name).toArray(ValueLayout.JAVA_BYTE);
  }

  private MemorySegment segment(String name, SafetensorsDType dtype, long... shape) {
    assertThat(info(name).dtype()).as(name).isEqualTo(dtype);
    assertThat(info(name).shape()).as(name).containsExactly(shape);
    return fileOf.get(name).data(name);
  }

  /** A linear module as its scheme describes it. */
  QuantizedMatrix weight(String module, String scheme, int rows, int cols) {
    if (scheme.startsWith("w4a16-g")) {
      int group = Integer.parseInt(scheme.substring("w4a16-g".length()));
      MemorySegment shape = segment(module + ".weight_shape", SafetensorsDType.I64, 2);
      assertThat(shape.get(ValueLayout.JAVA_LONG_UNALIGNED, 0)).isEqualTo(rows);
      assertThat(shape.get(ValueLayout.JAVA_LONG_UNALIGNED, 8)).isEqualTo(cols);
      SafetensorsDType scales = info(module + ".weight_scale").dtype();
      return QuantizedMatrix.of(
          segment(module + ".weight_packed", SafetensorsDType.I32, rows, cols / 8),
          QuantFormat.of(CodeType.UINT4, ScaleType.valueOf(scales.name()), 1, group),
          rows,
          cols,
          segment(module + ".weight_scale", scales, rows, cols / group));
    }
    return switch (scheme) {
      case "fp8-block" ->
          QuantizedMatrix.of(
              segment(module + ".weight", SafetensorsDType.F8_E4M3, rows, cols),
              QuantFormat.of(CodeType.E4M3, ScaleType.F32, 128, 128),
              rows,
              cols,
              segment(
                  module + ".weight_scale_inv",
                  SafetensorsDType.F32,
                  Math.ceilDiv(rows, 128),
                  Math.ceilDiv(cols, 128)));
      case "fp8-channel", "int8" ->
          QuantizedMatrix.of(
              segment(
                  module + ".weight",
                  scheme.equals("int8") ? SafetensorsDType.I8 : SafetensorsDType.F8_E4M3,
                  rows,
                  cols),
              QuantFormat.of(
                  scheme.equals("int8") ? CodeType.INT8 : CodeType.E4M3,
                  ScaleType.F32,
                  1,
                  QuantFormat.ALL),
              rows,
              cols,
              segment(module + ".weight_scale", SafetensorsDType.F32, rows, 1));
      case "nvfp4" ->
          new QuantizedMatrix(
              segment(module + ".weight_packed", SafetensorsDType.U8, rows, cols / 2),
              QuantFormat.of(CodeType.E2M1, ScaleType.E4M3, 1, 16),
              rows,
              cols,
              segment(module + ".weight_scale", SafetensorsDType.F8_E4M3, rows, cols / 16),
              1.0
                  / DType.F32.get(
                      segment(module + ".weight_global_scale", SafetensorsDType.F32, 1), 0),
              null,
              null);
      case "mxfp4" ->
          QuantizedMatrix.of(
              segment(module + ".weight_packed", SafetensorsDType.U8, rows, cols / 2),
              QuantFormat.of(CodeType.E2M1, ScaleType.E8M0, 1, 32),
              rows,
              cols,
              segment(module + ".weight_scale", SafetensorsDType.U8, rows, cols / 32));
      default -> throw new IllegalArgumentException(scheme);
    };
  }

  /** One expert of gpt-oss's fused tensors. */
  QuantizedMatrix block(String tensor, int experts, int expert, int rows, int cols) {
    MemorySegment blocks =
        segment(tensor + "_blocks", SafetensorsDType.U8, experts, rows, cols / 32, 16);
    MemorySegment scales =
        segment(tensor + "_scales", SafetensorsDType.U8, experts, rows, cols / 32);
    long blockBytes = blocks.byteSize() / experts;
    long scaleBytes = scales.byteSize() / experts;
    return QuantizedMatrix.of(
        blocks.asSlice(expert * blockBytes, blockBytes),
        QuantFormat.of(CodeType.E2M1, ScaleType.E8M0, 1, 32),
        rows,
        cols,
        scales.asSlice(expert * scaleBytes, scaleBytes));
  }
}
