package quamba.udf.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;

/**
 * The work of one pass over the model: ragged rows of token ids, each for a slot. Filled by the
 * engine, read by the model, reused for every pass. Rows that want a next id come first ({@link
 * #addSampled}), then those whose prompt goes on ({@link #addPartial}).
 *
 * <p>The int buffers are little-endian views of memory that the caller owns (Arrow vectors in the
 * engine), so that a device can copy from their addresses.
 */
public final class Step {
  private final ByteBuffer ids; // (tokensPerStep) i32
  private final ByteBuffer slots; // (slots) i32
  private final ByteBuffer starts; // (slots + 1) i32
  private final ByteBuffer positions; // (slots) i32
  private final ByteBuffer sampled; // (slots) i32, filled by the model
  private int rows;
  private int sampledRows;
  private int singleRows;
  private int tokens;

  /**
   * @param ids room for the token ids of a step, little-endian i32
   * @param slots room for one i32 a slot
   * @param starts room for one i32 a slot and one more
   * @param positions room for one i32 a slot
   * @param sampled room for one i32 a slot
   */
  public Step(
      ByteBuffer ids,
      ByteBuffer slots,
      ByteBuffer starts,
      ByteBuffer positions,
      ByteBuffer sampled) {
    this.ids = ids;
    this.slots = slots;
    this.starts = starts;
    this.positions = positions;
    this.sampled = sampled;
  }

  /** A step in memory of its own, for tests and tools. */
  public static Step allocate(int slots, int tokensPerStep) {
    return new Step(ints(tokensPerStep), ints(slots), ints(slots + 1), ints(slots), ints(slots));
  }

  private static ByteBuffer view(ByteBuffer memory, int bytes) {
    return memory.slice(0, bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static ByteBuffer ints(int count) {
    return ByteBuffer.allocateDirect(count * Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * Stands for the id that the step before chose for its row {@code row}, which is not known here
   * yet.
   */
  public static int chosen(int row) {
    return -1 - row;
  }

  /** Forgets all rows. */
  public void clear() {
    rows = 0;
    sampledRows = 0;
    singleRows = 0;
    tokens = 0;
    starts.putInt(0, 0);
  }

  /** Adds a row whose next id is wanted: the last of its tokens are in {@code tokenIds}. */
  public void addSampled(int slot, int position, IntBuffer tokenIds) {
    requireSampledFirst();
    add(slot, position, tokenIds);
    sampledRows = rows;
  }

  /**
   * Adds a row whose next id is wanted, of which only one token is left.
   *
   * @param tokenId or {@link #chosen}
   */
  public void addSampled(int slot, int position, int tokenId) {
    requireSampledFirst();
    begin(slot, position, 1);
    ids.putInt(tokens++ * Integer.BYTES, tokenId);
    end();
    sampledRows = rows;
  }

  /** Adds a row whose prompt goes on in a later step. */
  public void addPartial(int slot, int position, IntBuffer tokenIds) {
    add(slot, position, tokenIds);
  }

  private void requireSampledFirst() {
    if (sampledRows != rows) {
      throw new IllegalStateException("sampled rows come before partial rows");
    }
  }

  private void add(int slot, int position, IntBuffer tokenIds) {
    begin(slot, position, tokenIds.remaining());
    for (int token = tokenIds.position(); token < tokenIds.limit(); token++) {
      ids.putInt(tokens++ * Integer.BYTES, tokenIds.get(token));
    }
    end();
  }

  private void begin(int slot, int position, int count) {
    if (count == 0 || (tokens + count) * Integer.BYTES > ids.capacity()) {
      throw new IllegalArgumentException(
          "a row of %d tokens in a step of %d with room for %d"
              .formatted(count, tokens, ids.capacity() / Integer.BYTES));
    }
    if (count == 1 && singleRows == rows) {
      singleRows++;
    }
    slots.putInt(rows * Integer.BYTES, slot);
    positions.putInt(rows * Integer.BYTES, position);
  }

  private void end() {
    rows++;
    starts.putInt(rows * Integer.BYTES, tokens);
  }

  /** Rows in this step. */
  public int rows() {
    return rows;
  }

  /** Rows whose next id is wanted: the first ones. */
  public int sampledRows() {
    return sampledRows;
  }

  /** Rows of one token before the first that has more. */
  public int singleRows() {
    return singleRows;
  }

  /** Token ids of all rows. */
  public int tokens() {
    return tokens;
  }

  /** Token ids still free in this step. */
  public int room() {
    return ids.capacity() / Integer.BYTES - tokens;
  }

  /** The id that the model chose for row {@code row} of {@link #sampledRows}. */
  public int sampled(int row) {
    return sampled.getInt(row * Integer.BYTES);
  }

  /** (tokens) i32, those below 0 as {@link #chosen} says. */
  public ByteBuffer ids() {
    return view(ids, tokens * Integer.BYTES);
  }

  /** (rows) i32. */
  public ByteBuffer slots() {
    return view(slots, rows * Integer.BYTES);
  }

  /** (rows + 1) i32. */
  public ByteBuffer starts() {
    return view(starts, (rows + 1) * Integer.BYTES);
  }

  /** (rows) i32. */
  public ByteBuffer positions() {
    return view(positions, rows * Integer.BYTES);
  }

  /** (sampledRows) i32, for the model to fill. */
  public ByteBuffer sampled() {
    return view(sampled, sampledRows * Integer.BYTES);
  }
}
