package quamba.udf.benchmark;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.stream.IntStream;

/** Many random codes fast: every block of bytes has a generator of its own, so threads share. */
final class RandomBytes {
  private static final int BLOCK = 1 << 16;
  private static final long GOLDEN = 0x9e37_79b9_7f4a_7c15L;

  private RandomBytes() {}

  /** Codes −127 … 127 in bytes; 0 is twice as likely as any other. */
  static byte[] codes(int count, long seed) {
    return bytes(count, seed, 0x7f7f_7f7f_7f7f_7f7fL);
  }

  /** Codes −7 … 7 in nibbles, two to a byte; 0 is twice as likely as any other. */
  static byte[] nibbles(int bytes, long seed) {
    return bytes(bytes, seed, 0x7777_7777_7777_7777L);
  }

  /** A seed for every name. */
  static long seed(String name, long seed) {
    return name.chars().asLongStream().reduce(seed, (all, next) -> mix(all * 31 + next));
  }

  private static byte[] bytes(int count, long seed, long lows) {
    byte[] all = new byte[count];
    ByteBuffer target = ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN);
    int blocks = (int) ((count + (long) BLOCK - 1) / BLOCK);
    IntStream.range(0, blocks)
        .parallel()
        .forEach(block -> fill(target, block * BLOCK, mix(seed + block * GOLDEN), lows));
    return all;
  }

  private static void fill(ByteBuffer target, int from, long seed, long lows) {
    int end = (int) Math.min(from + (long) BLOCK, target.capacity());
    long state = seed | 1;
    int at = from;
    for (; at + Long.BYTES <= end; at += Long.BYTES) {
      state = next(state);
      target.putLong(at, symmetric(state, lows));
    }
    state = symmetric(next(state), lows);
    for (; at < end; at++, state >>>= Byte.SIZE) {
      target.put(at, (byte) state);
    }
  }

  /** Xorshift. */
  private static long next(long state) {
    long x = state;
    x ^= x << 13;
    x ^= x >>> 7;
    return x ^ (x << 17);
  }

  /** Makes 0 of each code that has only its top bit set, which {@code lows} lacks. */
  private static long symmetric(long codes, long lows) {
    long flipped = codes ^ ~lows;
    long zero = ~(((flipped & lows) + lows) | flipped | lows);
    return codes ^ zero;
  }

  private static long mix(long value) {
    long x = (value ^ (value >>> 30)) * 0xbf58_476d_1ce4_e5b9L;
    x = (x ^ (x >>> 27)) * 0x94d0_49bb_1331_11ebL;
    return x ^ (x >>> 31);
  }
}
