package quamba.udf.engine;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.IntVector;
import quamba.udf.model.Step;

/**
 * The step's ids, slots, starts, positions and sampled ids in Arrow vectors, filled anew each step.
 */
final class StepVectors implements AutoCloseable {
  private final List<IntVector> vectors = new ArrayList<>();
  private final Step step;
  private int promptTokens;

  StepVectors(BufferAllocator allocator, int slots, int tokensPerStep) {
    this.step =
        new Step(
            ints("ids", allocator, tokensPerStep),
            ints("slots", allocator, slots),
            ints("starts", allocator, slots + 1),
            ints("positions", allocator, slots),
            ints("sampled", allocator, slots));
  }

  private ByteBuffer ints(String name, BufferAllocator allocator, int count) {
    IntVector vector = new IntVector(name, allocator);
    vectors.add(vector);
    vector.allocateNew(count);
    return vector
        .getDataBuffer()
        .nioBuffer(0, count * Integer.BYTES)
        .order(ByteOrder.LITTLE_ENDIAN);
  }

  Step step() {
    return step;
  }

  /** Ids of the last step that are prompts'. */
  int promptTokens() {
    return promptTokens;
  }

  /**
   * Fills the step: first every sequence with one id to see, those whose states are rounded behind
   * it before the others, as they take longest and a device had better not end with them; then
   * prompts in order of arrival as far as the step has room, the last one in part if need be.
   *
   * @return the sequences in the order of the step's rows
   */
  List<Sequence<?>> fill(List<Sequence<?>> running) {
    List<Sequence<?>> rows = new ArrayList<>(running.size());
    step.clear();
    addSingles(running, true, rows);
    addSingles(running, false, rows);
    int decoded = (int) rows.stream().filter(Sequence::decoding).count();
    for (Sequence<?> sequence : running) {
      int count = Math.min(sequence.unseen(), step.room());
      if (count > 0) {
        boolean whole = count == sequence.unseen();
        sequence.addTo(step, count);
        rows.add(sequence);
        if (!whole) {
          break;
        }
      }
    }
    promptTokens = step.tokens() - decoded;
    return rows;
  }

  private void addSingles(List<Sequence<?>> running, boolean rounded, List<Sequence<?>> rows) {
    for (Sequence<?> sequence : running) {
      if (sequence.unseen() == 1 && sequence.endsInterval() == rounded) {
        sequence.addTo(step, 1);
        rows.add(sequence);
      }
    }
  }

  @Override
  public void close() {
    vectors.forEach(IntVector::close);
  }
}
