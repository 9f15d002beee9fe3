package quamba.udf.calibration;

import quamba.kernels.Scan;
import quamba.kernels.ScanState;

/**
 * How large the elements of a recurrence's state become. It is run once more beside the model, as a
 * backend keeps its state in an order of its own. Only where a {@link ScanState} would be rounded
 * does its size matter: after every {@link ScanState#INTERVAL} tokens.
 */
final class StatePeaks {
  private static final float SOFTPLUS_LINEAR = 20;

  private final Scan.Dims dims;
  private final float[] a; // (heads), or (heads, stateDim)
  private final float[] dtBias; // (heads)
  private final Scan.Limit limit;

  StatePeaks(Scan.Dims dims, float[] a, float[] dtBias, Scan.Limit limit) {
    this.dims = dims;
    this.a = a;
    this.dtBias = dtBias;
    this.limit = limit;
  }

  /**
   * The largest magnitude of each element (heads, headDim, stateDim) in a sample that starts from
   * zeros.
   *
   * @param x (tokens, heads · headDim)
   * @param dt (tokens, heads), before bias and softplus
   * @param b (tokens, groups · stateDim)
   */
  float[] of(int tokens, float[] x, float[] dt, float[] b) {
    int channels = dims.innerDim();
    int stateDim = dims.stateDim();
    float[] state = new float[channels * stateDim];
    float[] peaks = new float[state.length];
    float[] decay = new float[stateDim];
    for (int token = 0; token < tokens; token++) {
      boolean rounded = (token + 1) % ScanState.INTERVAL == 0;
      for (int head = 0; head < dims.heads(); head++) {
        float step = step(dt[token * dims.heads() + head] + dtBias[head]);
        decay(head, step, decay);
        int group = head / (dims.heads() / dims.groups());
        int bAt = (token * dims.groups() + group) * stateDim;
        for (int p = 0; p < dims.headDim(); p++) {
          int channel = head * dims.headDim() + p;
          advance(state, channel * stateDim, decay, step * x[token * channels + channel], b, bAt);
          if (rounded) {
            raise(peaks, state, channel * stateDim);
          }
        }
      }
    }
    return peaks;
  }

  private float step(float raw) {
    double softplus = raw > SOFTPLUS_LINEAR ? raw : Math.log1p(Math.exp(raw));
    return (float) Math.max(limit.min(), Math.min(limit.max(), softplus));
  }

  private void decay(int head, float step, float[] decay) {
    boolean perHead = a.length == dims.heads();
    for (int n = 0; n < decay.length; n++) {
      decay[n] =
          perHead && n > 0
              ? decay[0]
              : (float) Math.exp(step * a[perHead ? head : head * decay.length + n]);
    }
  }

  private static void advance(
      float[] state, int at, float[] decay, float input, float[] b, int bAt) {
    for (int n = 0; n < decay.length; n++) {
      state[at + n] = state[at + n] * decay[n] + input * b[bAt + n];
    }
  }

  private void raise(float[] peaks, float[] state, int at) {
    for (int n = at; n < at + dims.stateDim(); n++) {
      peaks[n] = Math.max(peaks[n], Math.abs(state[n]));
    }
  }
}
