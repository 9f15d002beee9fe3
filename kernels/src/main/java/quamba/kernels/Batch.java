package quamba.kernels;

/**
 * The sequences that one pass over the model advances: ragged, one after the other, no padding. A
 * decoding sequence has one token, one in prefill has many; operations choose their kernel by it.
 *
 * @param rows number of sequences
 * @param tokens number of tokens of all rows together
 * @param single how many rows, from the first on, are known to have one token: token r is row r's
 * @param slots (rows) i32, the slot that holds each row's state; no slot twice
 * @param starts (rows + 1) i32, row r has the tokens starts[r] … starts[r + 1] − 1, at least one
 * @param positions (rows) i32, tokens that each row's state has seen; 0 starts from a zero state
 *     whatever the slot held before
 */
public record Batch(
    int rows, int tokens, int single, Tensor slots, Tensor starts, Tensor positions) {
  /**
   * The rows behind the first {@link #single}; their tokens are counted from the same first one.
   */
  public Batch others() {
    int count = rows - single;
    return new Batch(
        count,
        tokens - single,
        0,
        slots.rows(single, count),
        starts.rows(single, count + 1),
        positions.rows(single, count));
  }
}
