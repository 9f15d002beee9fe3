package quamba.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

final class PhiloxTest {
  /** From the authors' Random123 distribution. */
  @Test
  void knownAnswers() {
    int[] counter = new int[4];
    Philox.apply(counter, 0, 0);
    assertArrayEquals(new int[] {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, counter);
    counter = new int[] {-1, -1, -1, -1};
    Philox.apply(counter, -1, -1);
    assertArrayEquals(new int[] {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}, counter);
    counter = new int[] {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
    Philox.apply(counter, 0xa4093822, 0x299f31d0);
    assertArrayEquals(new int[] {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}, counter);
  }

  @Test
  void uniformNumbersLieWithinZeroAndOne() {
    assertEquals(0x1p-25, Philox.uniform(0));
    assertEquals(0.5 + 0x1p-25, Philox.uniform(0x80000000));
    assertEquals(1 - 0x1p-25, Philox.uniform(-1));
  }
}
