package quamba.kernels.cpu;

/**
 * Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3" (SC 2011).
 */
final class Philox {
  private static final int ROUNDS = 10;
  private static final long MULTIPLIER_0 = 0xD2511F53L;
  private static final long MULTIPLIER_1 = 0xCD9E8D57L;
  private static final int WEYL_0 = 0x9E3779B9;
  private static final int WEYL_1 = 0xBB67AE85;
  private static final long WORD = 0xFFFFFFFFL;

  private Philox() {}

  /** Replaces the four words of {@code counter} by the random words that they stand for. */
  static void apply(int[] counter, int key0, int key1) {
    int k0 = key0;
    int k1 = key1;
    for (int round = 0; round < ROUNDS; round++) {
      long product0 = MULTIPLIER_0 * (counter[0] & WORD);
      long product1 = MULTIPLIER_1 * (counter[2] & WORD);
      counter[0] = (int) (product1 >>> 32) ^ counter[1] ^ k0;
      counter[2] = (int) (product0 >>> 32) ^ counter[3] ^ k1;
      counter[1] = (int) product1;
      counter[3] = (int) product0;
      k0 += WEYL_0;
      k1 += WEYL_1;
    }
  }

  /** The middle of one of 2^24 equal parts of (0, 1), by the upper bits of {@code word}. */
  static double uniform(int word) {
    return ((word >>> 8) + 0.5) * 0x1p-24;
  }
}
