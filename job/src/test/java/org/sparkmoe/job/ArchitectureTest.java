package org.sparkmoe.job;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.GeneralCodingRules.ACCESS_STANDARD_STREAMS;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.Location;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What each module may know, over the classes of all modules at once. */
class ArchitectureTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ArchitectureTest::isProduction)
          .importPackages("org.sparkmoe");

  // A module's tests are a folder while its own tests run, and a jar for the modules after it.
  private static boolean isProduction(Location location) {
    return !location.contains("/test-classes/") && !location.contains("-tests.jar");
  }

  @ParameterizedTest
  @ValueSource(strings = {"kernels", "datasets", "udfs", "job"})
  void looksAtEveryModule(String module) {
    assertThat(CLASSES.that(resideInAnyPackage("org.sparkmoe." + module + ".."))).isNotEmpty();
  }

  @Test
  void modulesDependInOneDirection() {
    layeredArchitecture()
        .consideringOnlyDependenciesInLayers()
        .withOptionalLayers(true)
        .layer("kernels")
        .definedBy("org.sparkmoe.kernels..")
        .layer("datasets")
        .definedBy("org.sparkmoe.datasets..")
        .layer("udfs")
        .definedBy("org.sparkmoe.udfs..")
        .layer("job")
        .definedBy("org.sparkmoe.job..")
        .whereLayer("kernels")
        .mayNotAccessAnyLayer()
        .whereLayer("datasets")
        .mayOnlyAccessLayers("kernels")
        .whereLayer("udfs")
        .mayOnlyAccessLayers("kernels", "datasets")
        .whereLayer("job")
        .mayNotBeAccessedByAnyLayer()
        .check(CLASSES);
  }

  @Test
  void kernelsKnowNeitherSparkNorFormats() {
    noClasses()
        .that()
        .resideInAPackage("org.sparkmoe.kernels..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("org.apache..", "com.fasterxml..", "tools.jackson..")
        .check(CLASSES);
  }

  @ParameterizedTest
  @ValueSource(strings = {"kernels", "datasets", "udfs", "job"})
  void packagesOfAModuleHaveNoCycles(String module) {
    slices()
        .matching("org.sparkmoe." + module + ".(**)")
        .should()
        .beFreeOfCycles()
        .allowEmptyShould(true)
        .check(CLASSES);
  }

  @Test
  void onlyTheCommandLinePrints() {
    noClasses()
        .that()
        .resideOutsideOfPackage("org.sparkmoe.job.cli..")
        .should(ACCESS_STANDARD_STREAMS)
        .because("stdout belongs to the command's result and everybody else logs")
        .check(CLASSES);
  }
}
