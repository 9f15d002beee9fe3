package quamba.kernels.cuda;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.util.Optional;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;
import quamba.kernels.BackendUnavailableException;

/** Tests that need a CUDA device: without one each of them is reported as skipped, and why. */
@Tag("gpu")
@ExtendWith(NeedsCuda.Device.class)
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
public @interface NeedsCuda {
  /** Looks for the device once. */
  final class Device implements ExecutionCondition {
    private static final Optional<String> ABSENCE = absence();

    private static Optional<String> absence() {
      try (CudaContext context = CudaContext.open(0)) {
        context.synchronize();
        return Optional.empty();
      } catch (BackendUnavailableException e) {
        return Optional.of(e.getMessage());
      }
    }

    /** Lets classes pass, so that their tests are counted one by one. */
    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
      if (context.getTestMethod().isEmpty() || ABSENCE.isEmpty()) {
        return ConditionEvaluationResult.enabled("no device is needed, or there is one");
      }
      return ConditionEvaluationResult.disabled("skipped: " + ABSENCE.get());
    }
  }
}
