import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectMethod;
import static org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder.request;

import java.io.PrintWriter;
import java.util.Arrays;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/** Runs tests where there is no Maven: classes, or CLASS#METHOD. Exits with 1 when one fails. */
final class RunTests {
  public static void main(String[] names) {
    SummaryGeneratingListener summary = new SummaryGeneratingListener();
    Launcher launcher = LauncherFactory.create();
    launcher.execute(
        request()
            .selectors(
                Arrays.stream(names)
                    .map(name -> name.contains("#") ? selectMethod(name) : selectClass(name))
                    .toList())
            .build(),
        summary);
    TestExecutionSummary result = summary.getSummary();
    result.printFailuresTo(new PrintWriter(System.out));
    System.out.printf(
        "%d tests passed, %d failed, %d skipped%n",
        result.getTestsSucceededCount(),
        result.getTotalFailureCount(),
        result.getTestsSkippedCount() + result.getTestsAbortedCount());
    // Tests that are all skipped prove nothing.
    System.exit(result.getTotalFailureCount() > 0 || result.getTestsSucceededCount() == 0 ? 1 : 0);
  }
}
