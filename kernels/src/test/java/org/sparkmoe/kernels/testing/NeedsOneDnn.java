package org.sparkmoe.kernels.testing;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.util.Optional;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.sparkmoe.kernels.natives.NativesException;
import org.sparkmoe.kernels.natives.Platform;
import org.sparkmoe.kernels.onednn.OneDnn;

/**
 * Tests of oneDNN. They are skipped, with the reason, on platforms without the library; where there
 * is one, failing to load it is a failure.
 */
@Target({ElementType.TYPE, ElementType.METHOD})
@Retention(RetentionPolicy.RUNTIME)
@ExtendWith(NeedsOneDnn.Condition.class)
public @interface NeedsOneDnn {

  /** Asks the platform, not the library. */
  final class Condition implements ExecutionCondition {
    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
      try {
        Platform platform = Platform.current();
        Optional<String> refusal = OneDnn.refusal();
        return platform == Platform.LINUX_X86_64 || refusal.isEmpty()
            ? ConditionEvaluationResult.enabled("oneDNN is there for " + platform)
            : ConditionEvaluationResult.disabled(refusal.get());
      } catch (NativesException e) {
        return ConditionEvaluationResult.disabled(e.getMessage());
      }
    }
  }
}
