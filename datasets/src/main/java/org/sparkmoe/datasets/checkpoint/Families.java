package org.sparkmoe.datasets.checkpoint;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** All families, by {@code model_type}. */
final class Families {
  private static final Map<String, Family> BY_TYPE = new TreeMap<>();

  static {
    List<Family> families =
        List.of(
            new MixtralFamily(),
            new MiniMaxM2Family(),
            new PhimoeFamily(),
            new QwenFamily(),
            new OlmoeFamily(),
            new JambaFamily(),
            new HunyuanFamily(),
            new DeepSeekV2Family(),
            new DeepSeekV3Family(),
            new ErnieFamily(),
            new Lfm2Family(),
            new Llama4Family(),
            new GptOssFamily(),
            new GraniteFamily(),
            new JetMoeFamily(),
            new DbrxFamily());
    for (Family family : families) {
      for (String type : family.modelTypes()) {
        if (BY_TYPE.put(type, family) != null) {
          throw new AssertionError("two families claim " + type);
        }
      }
    }
  }

  private Families() {}

  /** The family of the configuration's model type, after it found nothing that contradicts it. */
  static Family of(ModelConfig config) {
    String type = config.modelType();
    Family family = BY_TYPE.get(type);
    if (family == null) {
      throw config.unknownType(BY_TYPE.keySet());
    }
    family.check(config);
    return family;
  }
}
