package quamba.udf.model;

import java.nio.FloatBuffer;

/** Takes the logits of a step, piece by piece in the order of its tokens. */
@FunctionalInterface
public interface LogitsConsumer {
  /**
   * Takes one piece.
   *
   * @param first index in the step of the piece's first token
   * @param count tokens of the piece
   * @param logits (count, width), of the ids that may follow each token; padded columns, which no
   *     id has, come last. Valid during the call
   */
  void accept(int first, int count, FloatBuffer logits);
}
