package quamba;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.JavaModifier.FINAL;
import static com.tngtech.archunit.core.domain.JavaModifier.STATIC;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.fields;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.core.importer.Location;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.library.Architectures;
import java.util.List;

/** The borders that Maven cannot see, and the names that say nothing. */
@AnalyzeClasses(
    packages = "quamba",
    importOptions = {ImportOption.DoNotIncludeTests.class, ArchitectureTest.NoTestJars.class})
class ArchitectureTest {
  /** Leaves out the other modules' tests, which come as a jar once they are packaged. */
  static final class NoTestJars implements ImportOption {
    @Override
    public boolean includes(Location location) {
      return !location.contains("-tests.jar");
    }
  }

  private static final DescribedPredicate<JavaClass> BACKEND =
      resideInAnyPackage("quamba.kernels.cpu..", "quamba.kernels.cuda..");

  @ArchTest
  static final ArchRule layersPointInward =
      Architectures.layeredArchitecture()
          .consideringOnlyDependenciesInLayers()
          .withOptionalLayers(true)
          .layer("job")
          .definedBy("quamba.job..")
          .layer("udf")
          .definedBy("quamba.udf")
          .layer("engine")
          .definedBy("quamba.udf.engine..")
          .layer("model")
          .definedBy("quamba.udf.model..")
          .layer("checkpoint")
          .definedBy("quamba.udf.checkpoint..")
          .layer("tokenizer")
          .definedBy("quamba.udf.tokenizer..")
          .layer("kernels")
          .definedBy("quamba.kernels..")
          .whereLayer("job")
          .mayNotBeAccessedByAnyLayer()
          .whereLayer("udf")
          .mayOnlyBeAccessedByLayers("job")
          .whereLayer("engine")
          .mayOnlyBeAccessedByLayers("job", "udf")
          .whereLayer("model")
          .mayOnlyBeAccessedByLayers("job", "udf", "engine")
          .whereLayer("checkpoint")
          .mayOnlyBeAccessedByLayers("job", "udf", "model")
          .whereLayer("tokenizer")
          .mayOnlyBeAccessedByLayers("job", "udf", "engine")
          .whereLayer("kernels")
          .mayOnlyBeAccessedByLayers("udf", "model", "checkpoint");

  @ArchTest
  static final ArchRule sparkStaysOutsideTheCore =
      noClasses()
          .that(
              resideInAPackage("quamba..")
                  .and(DescribedPredicate.not(resideInAnyPackage("quamba.job..", "quamba.udf"))))
          .should()
          .dependOnClassesThat()
          .resideInAPackage("org.apache.spark..");

  @ArchTest
  static final ArchRule cudaStaysBehindItsBackend =
      noClasses()
          .that()
          .resideOutsideOfPackage("quamba.kernels.cuda..")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("jcuda..");

  @ArchTest
  static final ArchRule onlyBackendsNamesABackend =
      noClasses()
          .that(
              DescribedPredicate.not(BACKEND)
                  .and(
                      DescribedPredicate.describe(
                          "are not Backends", c -> !c.getFullName().equals("quamba.udf.Backends"))))
          .should()
          .dependOnClassesThat(BACKEND);

  @ArchTest
  static void aBackendIsOnePublicClass(JavaClasses classes) {
    List<String> visible =
        classes.that(BACKEND).stream()
            .filter(c -> c.getModifiers().contains(JavaModifier.PUBLIC))
            .map(JavaClass::getSimpleName)
            .sorted()
            .toList();
    assertEquals(List.of("CpuBackend", "CudaBackend"), visible);
  }

  @ArchTest
  static final ArchRule theEngineKnowsNoTensors =
      noClasses()
          .that()
          .resideInAPackage("quamba.udf.engine..")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("quamba.kernels..");

  @ArchTest
  static final ArchRule noCycles =
      slices().matching("quamba.(**)").namingSlices("$1").should().beFreeOfCycles();

  @ArchTest
  static final ArchRule namesSaySomething =
      noClasses()
          .should()
          .haveNameMatching(".*\\.\\w*(Util|Utils|Helper|Manager|Factory|Impl|Constants)")
          .orShould()
          .resideInAnyPackage("..util..", "..common..", "..misc..", "..internal..");

  @ArchTest
  static final ArchRule staticsAreFinal =
      fields().that().areStatic().should().beFinal().allowEmptyShould(true);

  @ArchTest
  static final ArchRule onlyMainAndThePluginTouchTheProcess =
      noClasses()
          .that()
          .doNotHaveFullyQualifiedName("quamba.job.Main")
          .and()
          .doNotHaveFullyQualifiedName("quamba.udf.ModelPlugin")
          .should()
          .callMethod(System.class, "exit", int.class)
          .orShould()
          .callMethod(System.class, "getenv", String.class)
          .orShould()
          .callMethod(System.class, "getProperty", String.class);

  @ArchTest
  static void noConstantIsMutableStateInDisguise(JavaClasses classes) {
    List<String> holders =
        classes.stream()
            .flatMap(c -> c.getFields().stream())
            .filter(f -> f.getModifiers().contains(STATIC) && f.getModifiers().contains(FINAL))
            .filter(f -> f.getRawType().getFullName().matches("java\\.util\\.concurrent\\..*"))
            .map(f -> f.getOwner().getSimpleName())
            .distinct()
            .toList();
    assertEquals(List.of("ExecutorModels"), holders, "the one documented static");
  }
}
