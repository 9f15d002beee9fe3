package quamba.kernels;

import java.nio.ByteBuffer;

/**
 * A way from one tensor to the host on which a copy may be under way while later operations are
 * asked for. One copy at a time: each {@link #begin} is followed by an {@link #await}.
 */
public interface Readback {
  /**
   * Asks for a copy of what the operations so far leave in the tensor; returns at once. Later
   * operations do not change the copy.
   */
  void begin();

  /** Whether the copy has arrived, so that {@link #await} will not wait. */
  boolean isDone();

  /**
   * Waits for the copy.
   *
   * @param target gets the tensor's first elements, as many as fit from its position to its limit,
   *     little-endian; its position stays
   */
  void await(ByteBuffer target);
}
