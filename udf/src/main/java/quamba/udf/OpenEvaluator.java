package quamba.udf;

import java.util.List;
import java.util.Optional;
import org.apache.arrow.memory.BufferAllocator;
import quamba.udf.evaluation.Evaluator;
import quamba.udf.model.Capacity;
import quamba.udf.model.MambaModel;

/**
 * A model, and its reference if there is one, that an executor has opened to evaluate texts.
 *
 * @param memory Arrow memory, of which an evaluator takes none
 */
record OpenEvaluator(Evaluator evaluator, BufferAllocator memory) implements ExecutorModels.Opened {
  /**
   * The evaluator of this executor that has these models.
   *
   * @param device {@code cpu}, or a GPU by its address
   */
  static ExecutorModels.Lease<OpenEvaluator> lease(EvaluationTask task, String device) {
    List<String> ids = task.models().stream().map(Weights::id).toList();
    String name = "%s with states in %s".formatted(String.join(" beside ", ids), task.state());
    return ExecutorModels.ofThisJvm()
        .lease(
            new ExecutorModels.Key<>(OpenEvaluator.class, name, device),
            (threads, memory) -> open(task, device, threads, memory));
  }

  private static OpenEvaluator open(
      EvaluationTask task, String device, int threads, BufferAllocator memory) {
    Capacity capacity = Evaluator.capacity(task.vocab());
    Capacity rounded = new Capacity(capacity.slots(), capacity.tokensPerStep(), task.state());
    MambaModel model = task.model().load(device, threads, rounded, task.vocab());
    try {
      Optional<MambaModel> reference =
          task.reference().stream()
              .map(weights -> weights.load(device, threads, capacity, task.vocab()))
              .findFirst();
      return new OpenEvaluator(new Evaluator(model, reference, threads), memory);
    } catch (RuntimeException | Error e) {
      model.close();
      throw e;
    }
  }

  @Override
  public boolean failed() {
    return evaluator.failed();
  }

  @Override
  public void close() {
    evaluator.close();
    memory.close();
  }
}
