package org.sparkmoe.job.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.sparkmoe.job.plan.Amounts;
import org.sparkmoe.job.verify.OutputVectors;
import org.sparkmoe.job.verify.TokenDifference;
import org.sparkmoe.job.verify.Verification;
import org.sparkmoe.udfs.compare.RowDifference;

/** What a comparison found, as lines. */
final class VerifyTexts {
  private VerifyTexts() {}

  static List<String> of(Verification found, boolean subset) {
    List<String> lines = new ArrayList<>();
    lines.add("outputs    " + side(found.output()));
    lines.add("reference  " + side(found.reference()));
    lines.add(
        String.format(
            Locale.ROOT,
            "compared   %s, %s of them equal in every value, %s farther than %.0e (relative L2)",
            tokens(found.compared()),
            Amounts.count(found.equal()),
            Amounts.count(found.beyond()),
            found.tolerance()));
    if (found.onlyReference() > 0) {
      lines.add(
          "missing    %s of the reference without an output%s"
              .formatted(tokens(found.onlyReference()), subset ? " (--subset)" : ""));
    }
    if (found.onlyOutput() > 0) {
      lines.add(
          "unknown    %s of the run without a reference".formatted(tokens(found.onlyOutput())));
    }
    if (!found.worst().isEmpty()) {
      lines.add("");
      lines.add("            token  relative L2   largest      at        output     reference");
      found.worst().stream().map(VerifyTexts::row).forEach(lines::add);
    }
    lines.add("");
    lines.add(verdict(found, subset));
    return lines;
  }

  private static String verdict(Verification found, boolean subset) {
    if (found.agrees(subset)) {
      return "they agree";
    }
    return found.compared() == 0 ? "nothing to compare: no token is on both sides" : "they differ";
  }

  private static String side(OutputVectors vectors) {
    return "%s, %s".formatted(vectors.path(), vectors.encoding());
  }

  private static String tokens(long count) {
    return Amounts.count(count) + (count == 1 ? " token" : " tokens");
  }

  private static String row(TokenDifference token) {
    RowDifference row = token.row();
    return String.format(
        Locale.ROOT,
        "%17d  %11.1e  %8.1e  %6d  %12.5g  %12.5g",
        token.tokenId(),
        row.relative(),
        row.largest(),
        row.position(),
        row.value(),
        row.reference());
  }
}
