package quamba.udf;

import java.io.Serializable;
import java.util.List;
import quamba.udf.model.StateFormat;

/**
 * All that a partition of texts needs to know to be scored.
 *
 * @param models the model, and behind it the reference if there is one
 * @param device {@code cpu}, or {@code cuda} for the GPU that Spark gives the task
 * @param state format of the model's states; the reference's are never rounded
 * @param vocab ids that exist, the same for both
 */
public record EvaluationTask(List<Weights> models, String device, StateFormat state, int vocab)
    implements Serializable {
  /** Keeps its own list. */
  public EvaluationTask {
    models = List.copyOf(models);
  }

  Weights model() {
    return models.get(0);
  }

  /** None or one. */
  List<Weights> reference() {
    return models.subList(1, models.size());
  }
}
