package quamba.job;

import java.util.List;
import quamba.udf.evaluation.Score;
import quamba.udf.evaluation.Text;

/** Something to evaluate a model by: texts to score, and what the scores come to. */
sealed interface Subject permits TextWindows, LastWords, MultipleChoice {
  /** What is to be scored, in an order of its own. */
  List<Text> texts();

  /**
   * What the scores say.
   *
   * @param scores of {@link #texts}, in their order
   */
  Findings findings(List<Score> scores);
}
