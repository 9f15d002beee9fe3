package quamba.kernels;

import java.util.Arrays;

/** A case with codes for inputs, scales 1/128 and less, those of b and c equal within a group. */
@SuppressWarnings("ArrayRecordComponent") // never compared
record ScanCodes(ScanContract.Case example, byte[] x, byte[] dt, byte[] b, byte[] c) {
  private static float[] scales(long seed, int count) {
    return Probe.randomScales(seed, count, 1f / 256);
  }

  private float[] groupScales(long seed) {
    Scan.Dims dims = example.dims;
    float[] own = scales(seed, dims.groups());
    float[] scales = new float[dims.groups() * dims.stateDim()];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = own[i / dims.stateDim()];
    }
    return scales;
  }

  ScanCodes tokens(int from, int count) {
    Scan.Dims dims = example.dims;
    int bc = dims.groups() * dims.stateDim();
    return new ScanCodes(
        example.tokens(from, count),
        cut(x, dims.innerDim(), from, count),
        cut(dt, dims.heads(), from, count),
        cut(b, bc, from, count),
        cut(c, bc, from, count));
  }

  private static byte[] cut(byte[] codes, int width, int from, int count) {
    return Arrays.copyOfRange(codes, from * width, (from + count) * width);
  }

  ScanContract.Case values() {
    Scan.Dims dims = example.dims;
    Oracle.ScanInputs inputs =
        new Oracle.ScanInputs(
            Probe.values(x, scales(61, dims.innerDim())),
            Probe.values(dt, scales(62, dims.heads())),
            Probe.values(b, groupScales(63)),
            Probe.values(c, groupScales(64)));
    return new ScanContract.Case(dims, example.weights, inputs);
  }

  Tensor run(Probe probe, Batch batch, Tensor state, Tensor dts) {
    Scan.Dims dims = example.dims;
    int bc = dims.groups() * dims.stateDim();
    int tokens = batch.tokens();
    Tensor y = probe.zeros(tokens, dims.innerDim());
    Tensor xs = probe.view(x, scales(61, dims.innerDim()), tokens, dims.innerDim());
    Tensor bs = probe.view(b, groupScales(63), tokens, bc);
    Tensor cs = probe.view(c, groupScales(64), tokens, bc);
    Scan scan = example.scan(probe, Scan.Limit.NONE);
    probe.backend().scan(scan, batch, xs, dts, bs, cs, state, y);
    return y;
  }

  /** As {@link #run}, with x, b, c and dt in one matrix with {@code more} columns. */
  Tensor runTogether(Probe probe, Batch batch, Tensor state, int more) {
    Scan.Dims dims = example.dims;
    int bc = dims.groups() * dims.stateDim();
    int tokens = batch.tokens();
    int[] widths = {dims.innerDim(), bc, bc, dims.heads()};
    byte[][] parts = {x, b, c, dt};
    float[][] scales = {
      scales(61, widths[0]), groupScales(63), groupScales(64), scales(62, widths[3])
    };
    int width = Arrays.stream(widths).sum() + more;
    byte[] all = new byte[tokens * width];
    float[] allScales = new float[width];
    int[] firsts = new int[4];
    int at = 0;
    for (int part = 0; part < 4; part++) {
      firsts[part] = at;
      System.arraycopy(scales[part], 0, allScales, at, widths[part]);
      for (int token = 0; token < tokens; token++) {
        System.arraycopy(parts[part], token * widths[part], all, token * width + at, widths[part]);
      }
      at += widths[part];
    }
    Tensor matrix = probe.codes(all, allScales, tokens, width);
    Tensor[] columns = new Tensor[4];
    Arrays.setAll(columns, part -> matrix.columns(firsts[part], widths[part]));
    Tensor y = probe.zeros(tokens, dims.innerDim());
    Scan scan = example.scan(probe, Scan.Limit.NONE);
    probe.backend().scan(scan, batch, columns[0], columns[3], columns[1], columns[2], state, y);
    return y;
  }

  Tensor codedDt(Probe probe, int tokens) {
    int heads = example.dims.heads();
    return probe.view(dt, scales(62, heads), tokens, heads);
  }

  Tensor floatDt(Probe probe, int tokens) {
    return probe.floats(values().inputs.dt(), tokens, example.dims.heads());
  }
}
