package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quamba.kernels.DType;
import quamba.kernels.Half;
import quamba.kernels.HostTensor;
import quamba.kernels.Probe;
import quamba.kernels.QuantizedWeight;
import quamba.kernels.Shape;

/** The order of 4-bit codes and ratios that int4.cuh tells, without a device. */
final class CudaTilePackingTest {
  /** Codes and ratios as int4.cuh has them, read by what it says. */
  private record Packed(ByteBuffer bytes, int tiles, int chunks) {
    static Packed of(QuantizedWeight.Int4 weight) {
      int tiles = (weight.out() + 15) / 16;
      int chunks = (weight.in() + 127) / 128;
      CudaTilePacking packing = new CudaTilePacking(weight, weight.asInt8());
      assertEquals(tiles * chunks, packing.count());
      assertEquals(1024L * tiles * chunks, packing.ratiosAt());
      assertEquals((1024L + 32) * tiles * chunks, packing.bytes());
      byte[] bytes = new byte[tiles * chunks * (1024 + 32)];
      Arrays.fill(bytes, (byte) 0x3f);
      ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
      for (int index = 0; index < tiles * chunks; index++) {
        packing.packCodes(index, buffer, index * 1024);
        packing.packRatios(index, buffer, tiles * chunks * 1024 + index * 32);
      }
      return new Packed(buffer, tiles, chunks);
    }

    /** The code of an output and an input, of those that fill up too. */
    int code(int o, int i) {
      int row = o % 16;
      int s = i % 128 / 64;
      int t = i % 64 / 32;
      int h = i % 32 / 16;
      int quad = i % 16 / 4;
      int k = i % 4;
      int lane = row % 8 * 4 + quad;
      int word = 2 * t + row / 8;
      int index = (((o / 16 * chunks + i / 128) * 2 + s) * 32 + lane) * 4 + word;
      int nibble = 2 * h + k / 2 + 4 * (k % 2);
      return ((bytes.getInt(index * 4) >>> (4 * nibble)) & 0xf) - 8;
    }

    /** The ratio of an output and a chunk. */
    float ratio(int o, int chunk) {
      int index = ((o / 16 * chunks + chunk) * 8 + o % 8) * 2 + o % 16 / 8;
      return Half.value(bytes.getShort(tiles * chunks * 1024 + index * 2));
    }
  }

  private static QuantizedWeight.Int4 weight(byte[] pairs, float[] scales, int out, int in) {
    HostTensor host = new HostTensor(DType.U8, Shape.of(out, in / 2), ByteBuffer.wrap(pairs));
    return new QuantizedWeight.Int4(host, HostTensor.of(Shape.of(out, (in + 127) / 128), scales));
  }

  @ParameterizedTest
  @CsvSource({
    "16, 128",
    "1, 128",
    "8, 128",
    "15, 128",
    "17, 128",
    "100, 128",
    "16, 2",
    "16, 6",
    "16, 126",
    "16, 130",
    "16, 256",
    "16, 300",
    "37, 1002"
  })
  void packingThenReadingIsIdentity(int out, int in) {
    byte[] pairs = Probe.randomCodes(1, out * in / 2);
    int chunks = (in + 127) / 128;
    float[] scales = Probe.randomScales(2, out * chunks, 0.1f);
    for (int i = 0; i < scales.length; i += 3) {
      scales[i] = -scales[i];
    }
    QuantizedWeight.Int4 weight = weight(pairs, scales, out, in);
    Packed packed = Packed.of(weight);
    int[] codes = new int[packed.tiles() * 16 * chunks * 128];
    int[] expected = new int[codes.length];
    float[] ratios = new float[packed.tiles() * 16 * chunks];
    float[] expectedRatios = new float[ratios.length];
    for (int o = 0; o < packed.tiles() * 16; o++) {
      for (int i = 0; i < chunks * 128; i++) {
        codes[o * chunks * 128 + i] = packed.code(o, i);
        expected[o * chunks * 128 + i] = o < out && i < in ? weight.code(o, i) : 0;
      }
      for (int chunk = 0; chunk < chunks; chunk++) {
        ratios[o * chunks + chunk] = packed.ratio(o, chunk);
        expectedRatios[o * chunks + chunk] =
            o < out ? weight.ratio(o, chunk, weight.rowScale(o)) : 0;
      }
    }
    assertArrayEquals(expected, codes);
    assertArrayEquals(expectedRatios, ratios);
  }

  /** What a kernel makes of codes and ratios are the 8-bit codes that other kernels read. */
  @Test
  void codesTimesRatiosAreTheEightBitCodes() {
    int out = 9;
    int in = 260;
    byte[] pairs = Probe.randomCodes(3, out * in / 2);
    Arrays.fill(pairs, 0, in / 2, (byte) 0); // row 0
    Arrays.fill(pairs, in / 2, in / 2 + 64, (byte) 0); // chunk 0 of row 1
    float[] scales = Probe.randomScales(4, out * 3, 0.1f);
    scales[3] = 1e30f; // of that chunk, so that its ratio is not finite
    QuantizedWeight.Int4 weight = weight(pairs, scales, out, in);
    QuantizedWeight.Int8 wide = weight.asInt8();
    Packed packed = Packed.of(weight);
    assertEquals(0, packed.ratio(1, 0));
    float[] codes = new float[in];
    for (int o = 0; o < out; o++) {
      wide.readCodes(o, codes, 0);
      for (int i = 0; i < in; i++) {
        double code = Math.rint(packed.code(o, i) * (double) packed.ratio(o, i / 128));
        assertEquals(codes[i], code, 0, o + ", " + i);
      }
    }
  }
}
