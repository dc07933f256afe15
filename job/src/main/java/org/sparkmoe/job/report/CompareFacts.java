package org.sparkmoe.job.report;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What two runs were made of, fact by fact. */
final class CompareFacts {
  private static final String NONE = "–";
  private static final int HASH_DIGITS = 12;

  private CompareFacts() {}

  /** A fact of both runs; what one of them does not tell is a dash. */
  record Fact(String name, String first, String second) {
    boolean differs() {
      return !first.equals(second);
    }
  }

  /** All facts of model, options, choices, quantization, counts and versions. */
  static List<Fact> of(Comparison runs) {
    Map<String, String> first = facts(runs.first().manifest());
    Map<String, String> second = facts(runs.second().manifest());
    Set<String> names = new LinkedHashSet<>(first.keySet());
    names.addAll(second.keySet());
    List<Fact> facts = new ArrayList<>();
    for (String name : names) {
      facts.add(new Fact(name, first.getOrDefault(name, NONE), second.getOrDefault(name, NONE)));
    }
    return facts;
  }

  private static Map<String, String> facts(JsonNode manifest) {
    Map<String, String> facts = new LinkedHashMap<>();
    put(facts, "model ", manifest.path("model"));
    put(facts, "option ", manifest.path("options"));
    String input = manifest.at("/fingerprint/values/input").asText();
    if (!input.isEmpty()) {
      facts.put("files of the input", input.substring(0, Math.min(input.length(), HASH_DIGITS)));
    }
    facts.put("backend", manifest.at("/backend/chosen").asText(NONE));
    facts.put("dispatch", manifest.at("/dispatch/mode").asText(NONE));
    facts.put("lanes", manifest.at("/lanes/lanes").asText(NONE));
    put(facts, "quantization ", manifest.path("quantization"));
    put(facts, "count of ", manifest.path("counts"));
    put(facts, "version of ", manifest.path("versions"));
    return facts;
  }

  private static void put(Map<String, String> facts, String prefix, JsonNode node) {
    RunFacts.flat(node, prefix).forEach(fact -> facts.put(fact.get(0), fact.get(1)));
  }
}
