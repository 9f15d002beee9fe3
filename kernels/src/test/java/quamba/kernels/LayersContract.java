package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Layers, recorded or not, give the bits of their operations one after the other. */
public interface LayersContract {
  int HEAD_DIM = 64;
  int STATE_DIM = 128;
  int TAPS = 4;
  int SLOTS = 2;

  Probe probe();

  /** Called with each recording of layers; fuses: whether there are kernels for all at once. */
  default void recorded(Recording recording, boolean fuses) {}

  /** Extents of all layers. */
  record Extents(int modelDim, int heads, int groups) {
    int innerDim() {
      return heads * HEAD_DIM;
    }

    int bcDim() {
      return groups * STATE_DIM;
    }

    int channels() {
      return innerDim() + 2 * bcDim();
    }

    Scan.Dims dims() {
      return new Scan.Dims(heads, HEAD_DIM, STATE_DIM, groups);
    }
  }

  /** What passes through all layers, each of which has states of its own. */
  record Stream(
      Tensor hidden,
      Tensor residual,
      Tensor normed,
      Tensor projected,
      Tensor dt,
      Tensor y,
      Tensor mixed) {}

  /** Weights and scales of a layer. */
  record Weights(
      Norm norm,
      Linear in,
      Linear dt,
      Conv conv,
      Scan scan,
      Gate gate,
      Linear out,
      Tensor inScale,
      Tensor projectedScale,
      Tensor convScale,
      Tensor mixedScale) {}

  /**
   * States in the formats that there are; models of one, more and many groups; then what backends
   * may do one by one.
   */
  @ParameterizedTest
  @CsvSource({
    "row, 1, 256, 24, 1, 1, true",
    "row, 1, 768, 24, 3, 4, true",
    "row, 1, 1000, 32, 1, 2, true",
    "row, 1, 1536, 48, 2, 2, true",
    "row, 1, 2048, 64, 1, 2, true",
    "f16, 1, 256, 24, 1, 2, true",
    "static, 1, 256, 24, 1, 2, true",
    "row, 1, 4096, 128, 8, 2, true",
    "row, 1, 2560, 80, 1, 3, true",
    "f32, 1, 256, 24, 1, 2, true",
    "row, 2, 256, 24, 1, 2, true",
    "row, 1, 256, 56, 1, 2, true",
    "row, 1, 256, 24, 1, 2, false"
  })
  default void layersEqualTheirOperations(
      String state, int rows, int modelDim, int heads, int groups, int count, boolean rotates) {
    Extents extents = new Extents(modelDim, heads, groups);
    ScanState format = format(state, extents);
    List<Weights> weights = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      weights.add(weights(extents, 1000L * i));
    }
    Stream one = stream(extents, rows);
    Stream all = stream(extents, rows);
    List<Layer> apart = layers(extents, weights, format, one, rotates);
    List<Layer> together = layers(extents, weights, format, all, rotates);
    int[] slots = {1, 0};
    int[] counts = new int[rows];
    Arrays.fill(counts, 1);
    Tensor positions = probe().ints(new int[rows]);
    Batch known = probe().batch(Arrays.copyOf(slots, rows), counts, new int[rows]);
    Batch batch = new Batch(rows, rows, rows, known.slots(), known.starts(), positions);
    Backend backend = probe().backend();
    boolean fuses = rows == 1 && rotates && heads != 56 && !state.equals("f32");
    try (Recording recording = backend.record(() -> backend.layers(together, batch))) {
      recorded(recording, fuses);
      for (int position = 0; position < 2 * ScanState.INTERVAL + 2; position++) {
        int[] at = new int[rows];
        Arrays.fill(at, position);
        probe().write(positions, at);
        float[] hidden = Probe.random(50 + position, rows * modelDim);
        write(one.hidden(), hidden);
        write(all.hidden(), hidden);
        apart.forEach(layer -> layer.run(backend, batch));
        recording.run();
        String where = "position " + position;
        assertArrayEquals(probe().floats(one.residual()), probe().floats(all.residual()), where);
        assertArrayEquals(probe().floats(one.hidden()), probe().floats(all.hidden()), where);
      }
    }
  }

  private ScanState format(String name, Extents extents) {
    return switch (name) {
      case "f32" -> new ScanState.F32();
      case "f16" -> new ScanState.F16();
      case "row" -> new ScanState.RowScaled();
      default -> {
        int elements = extents.innerDim() * STATE_DIM;
        float[] scales = Probe.randomScales(49, elements, 0.02f);
        yield new ScanState.StaticScaled(
            probe().floats(scales, extents.heads(), HEAD_DIM, STATE_DIM));
      }
    };
  }

  private Stream stream(Extents extents, int rows) {
    int projected = extents.innerDim() + extents.channels();
    return new Stream(
        probe().zeros(rows, extents.modelDim()),
        probe().zeros(rows, extents.modelDim()),
        probe().bytes(new byte[rows * extents.modelDim()], rows, extents.modelDim()),
        probe().bytes(new byte[rows * projected], rows, projected),
        probe().zeros(rows, extents.heads()),
        probe().zeros(rows, extents.innerDim()),
        probe().bytes(new byte[rows * extents.innerDim()], rows, extents.innerDim()));
  }

  private Weights weights(Extents extents, long seed) {
    int inner = extents.innerDim();
    int channels = extents.channels();
    int model = extents.modelDim();
    int heads = extents.heads();
    float size = (float) Math.sqrt(model) / 250;
    float[] a = Probe.randomScales(seed + 8, heads, 1);
    for (int head = 0; head < heads; head++) {
      a[head] = -a[head];
    }
    // Those of B and of C are equal within a group.
    float[] convScales = Probe.randomScales(seed + 9, channels, 0.02f);
    Arrays.fill(convScales, inner, channels, 0.02f);
    return new Weights(
        norm(seed + 1, model),
        linear(seed + 2, inner + channels, model),
        linear(seed + 3, heads, model),
        new Conv(
            probe().floats(Probe.random(seed + 4, channels * TAPS), channels, TAPS),
            probe().floats(Probe.random(seed + 5, channels), channels)),
        new Scan(
            probe().floats(a, heads),
            probe().floats(Probe.random(seed + 6, heads), heads),
            probe().floats(Probe.random(seed + 7, heads), heads),
            extents.dims(),
            new Scan.Limit(0.001f, 100)),
        new Gate.Normed(norm(seed + 10, inner), extents.groups()),
        linear(seed + 11, model, inner),
        probe().floats(new float[] {0.02f}, 1),
        scales(seed + 12, inner + channels, size),
        probe().floats(convScales, channels),
        probe().floats(new float[] {0.02f}, 1));
  }

  private Norm norm(long seed, int dim) {
    return new Norm(probe().floats(Probe.random(seed, dim), dim), 1e-5f);
  }

  private Linear linear(long seed, int out, int in) {
    QuantizedWeight weight = CodesContract.Matrix.fourBit(seed, out, in).weight();
    return new Linear(probe().backend().pack(weight, DType.I8));
  }

  private Tensor scales(long seed, int count, float size) {
    return probe().floats(Probe.randomScales(seed, count, size), count);
  }

  private List<Layer> layers(
      Extents extents, List<Weights> weights, ScanState format, Stream s, boolean rotates) {
    int inner = extents.innerDim();
    int channels = extents.channels();
    List<Layer> layers = new ArrayList<>();
    for (Weights w : weights) {
      Tensor projected = s.projected().scaled(w.projectedScale());
      Tensor out = s.projected().columns(inner, channels).scaled(w.convScale());
      byte[] before = new byte[SLOTS * (TAPS - 1) * channels];
      Layer.In in =
          new Layer.In(
              w.norm(),
              s.hidden(),
              s.residual(),
              s.normed().scaled(w.inScale()),
              List.of(new Product(w.in(), projected), new Product(w.dt(), s.dt())),
              w.conv(),
              projected.columns(inner, channels),
              probe().bytes(before, SLOTS, TAPS - 1, channels),
              out);
      Layer.Mix mix =
          new Layer.Mix(
              w.scan(),
              out.columns(0, inner),
              s.dt(),
              out.columns(inner, extents.bcDim()),
              out.columns(inner + extents.bcDim(), extents.bcDim()),
              probe().backend().allocateState(format, DType.I8, extents.dims(), SLOTS),
              s.y());
      layers.add(
          new Layer(
              in,
              mix,
              new Layer.Out(
                  w.gate(),
                  rotates,
                  projected.columns(0, inner),
                  s.mixed().scaled(w.mixedScale()),
                  w.out())));
    }
    return layers;
  }

  private void write(Tensor tensor, float[] values) {
    ByteBuffer bytes = ByteBuffer.allocate(values.length * Float.BYTES);
    bytes.order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().put(values);
    probe().backend().write(tensor, bytes);
  }
}
