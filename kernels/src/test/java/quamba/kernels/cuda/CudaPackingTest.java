package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.BitSet;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;

/** The packed order, without a device. */
final class CudaPackingTest {
  @ParameterizedTest
  @CsvSource({"64, 4", "1, 4", "63, 4", "65, 4", "200, 4", "64, 1", "64, 3", "64, 5", "64, 31"})
  void everyElementHasAPlaceOfItsOwn(int out, int in) {
    CudaPacking packing = new CudaPacking(out, in);
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
    CudaPacking packing = new CudaPacking(out, in);
    float[] packed = pack(packing, HostTensor.of(Shape.of(out, in), matrix), groupsAtOnce);
    float[] read = new float[matrix.length];
    for (int i = 0; i < read.length; i++) {
      int index = Math.toIntExact(packing.index(i / in, i % in));
      read[i] = packed[index];
      packed[index] = 0;
    }
    assertArrayEquals(matrix, read);
    assertArrayEquals(new float[packed.length], packed, "what fills up");
  }

  /** Piece by piece, into memory that held something else. */
  private static float[] pack(CudaPacking packing, HostTensor weight, int groupsAtOnce) {
    float[] packed = new float[Math.toIntExact(packing.length())];
    for (int panel = 0; panel < packing.panels(); panel++) {
      for (int first = 0; first < packing.groups(); first += groupsAtOnce) {
        int count = Math.min(groupsAtOnce, packing.groups() - first);
        float[] piece = new float[count * CudaPacking.PANEL * CudaPacking.GROUP];
        Arrays.fill(piece, Float.NaN);
        packing.pack(weight, panel, first, count, FloatBuffer.wrap(piece));
        long at = packing.index(panel * CudaPacking.PANEL, first * CudaPacking.GROUP);
        System.arraycopy(piece, 0, packed, Math.toIntExact(at), piece.length);
      }
    }
    return packed;
  }
}
