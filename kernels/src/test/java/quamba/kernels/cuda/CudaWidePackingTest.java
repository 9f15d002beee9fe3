package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Probe;
import quamba.kernels.QuantizedWeight;
import quamba.kernels.Shape;

/** The order of 8-bit codes that linear_codes_wide.cu tells, without a device. */
final class CudaWidePackingTest {
  @ParameterizedTest
  @CsvSource({
    "8, 128",
    "1, 128",
    "7, 128",
    "9, 128",
    "100, 128",
    "8, 1",
    "8, 15",
    "8, 16",
    "8, 17",
    "8, 127",
    "8, 129",
    "8, 256",
    "8, 300",
    "13, 1001"
  })
  void packingThenReadingIsIdentity(int out, int in) {
    byte[] codes = Probe.randomCodes(1, out * in);
    CudaWidePacking packing = new CudaWidePacking(weight(codes, out, in));
    int rows = (out + 7) / 8 * 8;
    int chunks = (in + 127) / 128;
    assertEquals(rows, packing.rows());
    assertEquals(chunks, packing.chunks());
    byte[] packed = new byte[chunks * rows * 128];
    Arrays.fill(packed, (byte) 0x7f);
    ByteBuffer target = ByteBuffer.wrap(packed).order(ByteOrder.LITTLE_ENDIAN);
    for (int row = 0; row < chunks * rows; row++) {
      packing.pack(row, target, row * 128);
    }
    byte[] read = new byte[codes.length];
    for (int k = 0; k < read.length; k++) {
      int o = k / in;
      int i = k % in;
      int at = (i / 128 * rows + o) * 128 + ((i % 128 / 16) ^ (o % 8)) * 16 + i % 16;
      assertEquals(at, packing.index(o, i));
      read[k] = packed[at];
      packed[at] = 0;
    }
    assertArrayEquals(codes, read);
    assertArrayEquals(new byte[packed.length], packed, "what fills up");
  }

  private static QuantizedWeight.Int8 weight(byte[] codes, int out, int in) {
    HostTensor host = new HostTensor(DType.I8, Shape.of(out, in), ByteBuffer.wrap(codes));
    return new QuantizedWeight.Int8(host, HostTensor.of(Shape.of(out), new float[out]));
  }
}
