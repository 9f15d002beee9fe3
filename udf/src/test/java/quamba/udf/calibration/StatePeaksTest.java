package quamba.udf.calibration;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.Scan;

class StatePeaksTest {
  private static final int TOKENS = 40; // two roundings, and some tokens that none follows
  private static final Scan.Dims DIMS = new Scan.Dims(4, 3, 5, 2);

  private static float[] random(Random random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  /** One element of the state after so many tokens, out of a sum over all tokens before. */
  private static double state(
      int tokens, int head, int p, int n, float[] a, float[] x, float[] dt, float[] b) {
    boolean perHead = a.length == DIMS.heads();
    double decay = perHead ? a[head] : a[head * DIMS.stateDim() + n];
    double sum = 0;
    for (int token = 0; token < tokens; token++) {
      double exponent = 0;
      for (int later = token + 1; later < tokens; later++) {
        exponent += decay * step(dt[later * DIMS.heads() + head]);
      }
      int group = head / 2;
      sum +=
          Math.exp(exponent)
              * step(dt[token * DIMS.heads() + head])
              * x[(token * DIMS.heads() + head) * DIMS.headDim() + p]
              * b[(token * DIMS.groups() + group) * DIMS.stateDim() + n];
    }
    return sum;
  }

  private static double step(double raw) {
    return Math.min(1.2, Math.log(1 + Math.exp(raw + 0.25)));
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void peaksAreThoseAtRoundings(boolean perHead) {
    Random random = new Random(5);
    float[] a = new float[perHead ? DIMS.heads() : DIMS.heads() * DIMS.stateDim()];
    for (int i = 0; i < a.length; i++) {
      a[i] = -random.nextFloat();
    }
    float[] bias = {0.25f, 0.25f, 0.25f, 0.25f};
    float[] x = random(random, TOKENS * DIMS.innerDim());
    float[] dt = random(random, TOKENS * DIMS.heads());
    float[] b = random(random, TOKENS * DIMS.groups() * DIMS.stateDim());
    float[] found = new StatePeaks(DIMS, a, bias, new Scan.Limit(0, 1.2f)).of(TOKENS, x, dt, b);
    for (int i = 0; i < found.length; i++) {
      int head = i / (DIMS.headDim() * DIMS.stateDim());
      int p = i / DIMS.stateDim() % DIMS.headDim();
      int n = i % DIMS.stateDim();
      double first = Math.abs(state(16, head, p, n, a, x, dt, b));
      double second = Math.abs(state(32, head, p, n, a, x, dt, b));
      assertEquals(Math.max(first, second), found[i], 1e-5, "element " + i);
    }
  }
}
