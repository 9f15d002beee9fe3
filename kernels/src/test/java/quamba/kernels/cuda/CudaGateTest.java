package quamba.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quamba.kernels.DType;
import quamba.kernels.Gate;
import quamba.kernels.Norm;
import quamba.kernels.Shape;

/** Which rows are gated and rotated by one kernel; launches nothing. */
final class CudaGateTest {
  private static CudaTensor matrix(DType dtype, int columns) {
    return CudaTensor.dense(dtype, Shape.of(3, columns), new CudaAddress());
  }

  private static Gate normed(int columns, int groups) {
    return new Gate.Normed(new Norm(matrix(DType.F32, columns), 1e-5f), groups);
  }

  /** Those of published models; other widths, and norms over less than a warp's part, are not. */
  @ParameterizedTest
  @CsvSource({
    "1536, 1, true",
    "2048, 1, true",
    "3072, 1, true",
    "3584, 1, true",
    "4096, 1, true",
    "5120, 1, true",
    "8192, 8, true",
    "1536, 24, false",
    "1024, 1, false",
    "6144, 1, false"
  })
  void widthsOfModelsHaveAKernel(int innerDim, int groups, boolean expected) {
    CudaTensor y = matrix(DType.F32, innerDim);
    CudaTensor codes = matrix(DType.I8, innerDim);
    assertEquals(expected, CudaGate.canRotate(normed(innerDim, groups), y, codes, codes));
    boolean plain = expected || groups > 1;
    assertEquals(plain, CudaGate.canRotate(new Gate.Plain(), y, codes, codes));
  }

  @Test
  void rowsThatDoNotBeginInFoursHaveNone() {
    CudaTensor y = matrix(DType.F32, 1536);
    CudaTensor wide = matrix(DType.I8, 1540);
    CudaTensor odd = matrix(DType.I8, 1539);
    Gate gate = new Gate.Plain();
    assertEquals(true, CudaGate.canRotate(gate, y, wide.columns(4, 1536), wide.columns(0, 1536)));
    assertEquals(false, CudaGate.canRotate(gate, y, wide.columns(2, 1536), wide.columns(0, 1536)));
    assertEquals(false, CudaGate.canRotate(gate, y, odd.columns(0, 1536), wide.columns(0, 1536)));
  }
}
