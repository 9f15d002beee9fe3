package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.BitSet;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The packed order, without a device. */
final class CudaPackingTest {
  @ParameterizedTest
  @CsvSource({
    "64, 4, 4",
    "1, 4, 4",
    "63, 4, 4",
    "65, 4, 4",
    "200, 4, 4",
    "64, 1, 4",
    "64, 3, 4",
    "64, 5, 4",
    "64, 31, 4",
    "64, 16, 1",
    "65, 16, 1",
    "64, 1, 1",
    "64, 15, 1",
    "64, 17, 1",
    "64, 50, 1"
  })
  void everyElementHasAPlaceOfItsOwn(int out, int in, int elementBytes) {
    CudaPacking packing = new CudaPacking(out, in, elementBytes);
    BitSet taken = new BitSet();
    for (int o = 0; o < out; o++) {
      for (int i = 0; i < in; i++) {
        int index = Math.toIntExact(packing.index(o, i));
        assertTrue(index < packing.length());
        assertFalse(taken.get(index));
        taken.set(index);
      }
    }
    assertEquals(out * in, taken.cardinality());
  }

  @ParameterizedTest
  @CsvSource({
    "64, 20, 5",
    "1, 20, 5",
    "63, 20, 5",
    "65, 20, 5",
    "200, 20, 5",
    "64, 1, 5",
    "64, 3, 5",
    "64, 21, 5",
    "64, 31, 5",
    "64, 20, 1",
    "64, 20, 2",
    "64, 20, 4",
    "70, 23, 4"
  })
  void packingThenReadingIsIdentity(int out, int in, int groupsAtOnce) {
    float[] matrix = new float[out * in];
    for (int i = 0; i < matrix.length; i++) {
      matrix[i] = i + 1;
    }
    CudaPacking packing = new CudaPacking(out, in, Float.BYTES);
    CudaPacking.Rows rows =
        (row, first, count, target) -> target.asFloatBuffer().put(matrix, row * in + first, count);
    FloatBuffer packed = pack(packing, rows, groupsAtOnce).asFloatBuffer();
    float[] read = new float[matrix.length];
    for (int i = 0; i < read.length; i++) {
      int index = Math.toIntExact(packing.index(i / in, i % in));
      read[i] = packed.get(index);
      packed.put(index, 0);
    }
    assertArrayEquals(matrix, read);
    float[] rest = new float[packed.remaining()];
    packed.get(rest);
    assertArrayEquals(new float[rest.length], rest, "what fills up");
  }

  @ParameterizedTest
  @CsvSource({"64, 80, 5", "1, 80, 5", "65, 80, 2", "64, 1, 5", "64, 15, 5", "130, 83, 4"})
  void packingCodesThenReadingIsIdentity(int out, int in, int groupsAtOnce) {
    byte[] matrix = new byte[out * in];
    for (int i = 0; i < matrix.length; i++) {
      matrix[i] = (byte) (1 + i % 251);
    }
    CudaPacking packing = new CudaPacking(out, in, Byte.BYTES);
    CudaPacking.Rows rows =
        (row, first, count, target) -> target.put(matrix, row * in + first, count);
    byte[] packed = bytes(pack(packing, rows, groupsAtOnce));
    byte[] read = new byte[matrix.length];
    for (int i = 0; i < read.length; i++) {
      int index = Math.toIntExact(packing.index(i / in, i % in));
      read[i] = packed[index];
      packed[index] = 0;
    }
    assertArrayEquals(matrix, read);
    assertArrayEquals(new byte[packed.length], packed, "what fills up");
  }

  /** Piece by piece, into memory that held something else. */
  private static ByteBuffer pack(CudaPacking packing, CudaPacking.Rows rows, int groupsAtOnce) {
    int elementBytes = packing.elementBytes();
    ByteBuffer packed = buffer(Math.toIntExact(packing.length() * elementBytes));
    for (int panel = 0; panel < packing.panels(); panel++) {
      for (int first = 0; first < packing.groups(); first += groupsAtOnce) {
        int count = Math.min(groupsAtOnce, packing.groups() - first);
        ByteBuffer piece = buffer(count * CudaPacking.PANEL * CudaPacking.GROUP_BYTES);
        while (piece.hasRemaining()) {
          piece.put((byte) 0x7f);
        }
        packing.pack(rows, panel, first, count, piece.clear());
        long at = packing.index(panel * CudaPacking.PANEL, first * packing.group());
        packed.put(Math.toIntExact(at * elementBytes), bytes(piece));
      }
    }
    return packed;
  }

  private static byte[] bytes(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.capacity()];
    buffer.get(0, bytes);
    return bytes;
  }

  private static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
