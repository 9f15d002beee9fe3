package quamba.kernels.cuda;

import java.nio.ByteBuffer;

/**
 * Pinned host memory that copies pass through. It is filled from the front, and waits for the
 * stream only when it begins again there: a few small copies a step cost no waiting.
 */
final class CudaStaging implements AutoCloseable {
  private static final int ALIGNMENT = 64;

  private final CudaContext context;
  private final CudaCopies copies;
  private final CudaPinned memory;
  private int used;
  private int reserved; // where the last reservation begins

  /** Takes {@code bytes} of pinned memory. */
  CudaStaging(CudaContext context, CudaCopies copies, int bytes) {
    this.context = context;
    this.copies = copies;
    memory = new CudaPinned(bytes);
  }

  /** The most that one reservation may have. */
  int capacity() {
    return memory.bytes();
  }

  /** Room that no earlier copy reads any more, little-endian; {@link #send} takes it from here. */
  ByteBuffer reserve(int bytes) {
    context.enter();
    if (bytes > capacity() - used) {
      context.synchronize();
      used = 0;
    }
    reserved = used;
    used = Math.min(capacity(), (used + bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    return memory.part(reserved, bytes);
  }

  /** Copies the first {@code bytes} of the last reservation to the device, in stream order. */
  void send(CudaAddress target, int bytes) {
    copies.toDevice(target, memory, reserved, bytes);
  }

  /** Copies as much as {@code source} has left to the device; its position moves to its limit. */
  void write(CudaAddress target, ByteBuffer source) {
    for (long at = 0; source.hasRemaining(); ) {
      int bytes = Math.min(capacity(), source.remaining());
      reserve(bytes).put(source.slice().limit(bytes));
      source.position(source.position() + bytes);
      send(target.plus(at), bytes);
      at += bytes;
    }
  }

  /** Waits for earlier work and fills what {@code target} has left. */
  void read(CudaAddress source, ByteBuffer target) {
    for (long at = 0; target.hasRemaining(); ) {
      int bytes = Math.min(capacity(), target.remaining());
      ByteBuffer piece = reserve(bytes);
      copies.toHost(memory, reserved, source.plus(at), bytes);
      context.synchronize();
      used = 0;
      target.put(piece);
      at += bytes;
    }
  }

  /** Frees the memory. Results are not looked at, as {@link CudaContext#close} says. */
  @Override
  public void close() {
    memory.close();
  }
}
