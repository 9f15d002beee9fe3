package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import quamba.kernels.DType;
import quamba.kernels.Scan;
import quamba.kernels.ScanState;
import quamba.kernels.Shape;

final class CudaSlotTest {
  @Test
  void slotsHoldStateScalesStepsAndInputs() {
    Scan.Dims dims = new Scan.Dims(6, 64, 128, 2);
    int state = 6 * 64 * 128;
    int scales = 6 * 64 * 4;
    int steps = 6 * 16 * 4;
    int inputs = 6 * 16 * 64 + 2 * 16 * 128; // x and b
    ScanState row = new ScanState.RowScaled();
    ScanState half = new ScanState.F16();
    assertEquals(state + scales + steps + inputs, bytes(row, DType.I8, dims));
    assertEquals(state + scales + steps + 4 * inputs, bytes(row, DType.F32, dims));
    assertEquals(2 * state + steps + inputs, bytes(half, DType.I8, dims));
    assertEquals(2 * state + steps + 4 * inputs, bytes(half, DType.F32, dims));
    assertEquals(state + steps + inputs, bytes(fixed(), DType.I8, dims));
    assertEquals(state + steps + 4 * inputs, bytes(fixed(), DType.F32, dims));
  }

  /** The steps of an odd number of heads fill half a line of the cache. */
  @Test
  void slotsBeginAtLines() {
    Scan.Dims dims = new Scan.Dims(5, 64, 128, 1);
    int held = 5 * 64 * 128 + 5 * 16 * 4 + 5 * 16 * 64 + 16 * 128;
    assertEquals(64, held % 128);
    assertEquals(held + 64, bytes(fixed(), DType.I8, dims));
  }

  @Test
  void slotsTooLargeForAnIntAreRefused() {
    Scan.Dims dims = new Scan.Dims(1 << 18, 64, 128, 1);
    assertThrows(ArithmeticException.class, () -> bytes(fixed(), DType.I8, dims));
  }

  @Test
  void kernelsAreForOnePairOfExtents() {
    assertTrue(CudaSlot.fits(new Scan.Dims(24, 64, 128, 1)));
    assertFalse(CudaSlot.fits(new Scan.Dims(24, 64, 64, 1)));
    assertFalse(CudaSlot.fits(new Scan.Dims(24, 128, 128, 1)));
  }

  @Test
  void changesWithinGroupsAreFound() {
    CudaChanges changes = CudaChanges.of(new float[] {5, 1, 1, 2, 2, 2, 2, 3, 3});
    assertEquals(1, changes.withinGroups(2));
    assertEquals(-1, changes.part(1, 8).withinGroups(2));
    assertEquals(2, changes.part(1, 8).withinGroups(4));
    assertEquals(-1, changes.part(3, 4).withinGroups(4));
    assertEquals(1, changes.part(2, 3).withinGroups(3));
    assertEquals(4, changes.part(2, 6).part(1, 5).withinGroups(3));
    assertEquals(-1, changes.part(8, 1).withinGroups(1));
  }

  @Test
  void unknownElementsMayAllDiffer() {
    assertEquals(1, CudaChanges.everywhere(3).withinGroups(3));
    assertEquals(-1, CudaChanges.everywhere(3).withinGroups(1));
    assertEquals(-1, CudaChanges.everywhere(1).withinGroups(2));
    assertEquals(-1, CudaChanges.everywhere(0).withinGroups(2));
  }

  private static int bytes(ScanState format, DType input, Scan.Dims dims) {
    return new CudaSlot(format, input, dims).bytes();
  }

  /** Only the format counts here. */
  private static ScanState fixed() {
    CudaTensor scale = CudaTensor.dense(DType.F32, Shape.of(1), new CudaAddress());
    return new ScanState.StaticScaled(scale);
  }
}
