package quamba.udf.model;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import quamba.kernels.DType;
import quamba.kernels.Half;
import quamba.kernels.HostTensor;
import quamba.kernels.QuantizedWeight;
import quamba.kernels.Shape;
import quamba.udf.checkpoint.InvalidCheckpointException;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.QuantizedNames.Tap;

/**
 * A {@link RandomModel} with rounded weights, and scales of activations from their largest
 * magnitudes: a quantized checkpoint in memory, and the values and roundings of it for {@link
 * ModelOracle}.
 */
final class QuantizedModel implements TensorSource, ModelOracle.Values, ModelOracle.Taps {
  /** Precision of a layer, or of the two ends of the model. */
  enum Precision {
    /** Floats. */
    FLOAT,
    /** 8-bit weights and activations, z and dt among them. */
    W8A8,
    /** 4-bit weights and 8-bit activations, z and dt in f32. */
    W4A8,
    /** 4-bit weights. */
    W4A16;

    boolean isA8() {
      return this == W8A8 || this == W4A8;
    }

    int bits() {
      return this == W8A8 ? 8 : 4;
    }
  }

  private final RandomModel model;
  private final List<Precision> layers;
  private final Map<String, HostTensor> tensors;
  private final Map<String, double[]> weights = new LinkedHashMap<>(); // those that were rounded
  private final Map<String, float[]> scales = new LinkedHashMap<>(); // one or one a column
  private final StateFormat state;
  private double headMost;

  /**
   * @param model of a configuration with a section {@code quantization}
   * @param layers one after the other, over and over
   * @param ends of embedding and head
   * @param ids that activations are measured with
   */
  QuantizedModel(
      RandomModel model, List<Precision> layers, Precision ends, StateFormat state, int... ids) {
    this.model = model;
    this.layers = layers;
    this.state = state;
    tensors = new LinkedHashMap<>(model.tensors());
    measure(ids);
    for (int layer = 0; layer < model.parsed().layers(); layer++) {
      String prefix = "backbone.layers." + layer + ".mixer.";
      for (String name : List.copyOf(model.names())) {
        if (name.startsWith(prefix) && name.endsWith("_proj.weight")) {
          round(name, precision(layer), precision(layer).isA8());
        }
      }
    }
    boolean own = model.names().contains("lm_head.weight");
    round("backbone.embedding.weight", ends, !own && ends.isA8());
    if (own) {
      round("lm_head.weight", ends, ends.isA8());
    }
    if (ends.isA8()) {
      addScale(QuantizedNames.HEAD_INPUT_SCALE, (float) (headMost / 127));
    }
  }

  private Precision precision(int layer) {
    return layers.get(layer % layers.size());
  }

  private boolean isRounded(int layer, Tap tap) {
    boolean open = tap == Tap.Z || tap == Tap.DT;
    return precision(layer).isA8() && (!open || precision(layer) == Precision.W8A8);
  }

  /** Runs the model in floats and takes the largest magnitudes. */
  private void measure(int... ids) {
    Map<String, double[]> most = new LinkedHashMap<>();
    ModelOracle.Taps meter =
        new ModelOracle.Taps() {
          @Override
          public double[] pass(int layer, Tap tap, double[] values) {
            double[] sizes =
                most.computeIfAbsent(layer + " " + tap, key -> new double[values.length]);
            Arrays.setAll(sizes, i -> Math.max(sizes[i], Math.abs(values[i])));
            return values;
          }

          @Override
          public double[] head(double[] values) {
            headMost = Math.max(headMost, Arrays.stream(values).map(Math::abs).max().orElse(0));
            return values;
          }
        };
    ModelOracle.logits(model, meter, ids);
    for (int layer = 0; layer < model.parsed().layers(); layer++) {
      for (Tap tap : LayerScales.taps(model.parsed().mixer())) {
        if (isRounded(layer, tap) || tap == Tap.STATE) {
          addScale(layer, tap, most.get(layer + " " + tap));
        }
      }
    }
  }

  /** One scale for all in even layers and where there may be but one, else one for each column. */
  private void addScale(int layer, Tap tap, double... most) {
    boolean single = layer % 2 == 0 || LayerScales.shape(model.parsed(), tap).equals(Shape.of(1));
    double all = Arrays.stream(most).max().orElse(0);
    // The inputs of the convolution a little too small: some codes are held to the range.
    double size = tap == Tap.X_IN ? 0.8 : 1;
    float[] scale = new float[single ? 1 : most.length];
    for (int i = 0; i < scale.length; i++) {
      scale[i] = (float) (Math.max(single ? all : most[i], 1e-3) * size / 127);
    }
    String name = QuantizedNames.scale(layer, tap);
    scales.put(name, scale);
    Shape shape = single ? Shape.of(1) : LayerScales.shape(model.parsed(), tap);
    tensors.put(name, HostTensor.of(shape, scale));
  }

  private void addScale(String name, float scale) {
    scales.put(name, new float[] {scale});
    tensors.put(name, HostTensor.of(Shape.of(1), scale));
  }

  /**
   * Rounds to nearest with scales from the largest magnitude of a row or of 128 of its columns.
   *
   * @param meetsCodes whether the matrix multiplies codes
   */
  private void round(String name, Precision precision, boolean meetsCodes) {
    if (precision == Precision.FLOAT) {
      return;
    }
    Shape shape = tensors.get(name).shape();
    boolean pairs = precision.bits() == 4;
    int out = shape.dim(0);
    int in = shape.dim(1);
    int group = pairs ? Math.min(in, 128) : in;
    int groups = (in + group - 1) / group;
    double[] exact = model.values(name);
    float[] scale = new float[out * groups];
    int[] codes = new int[exact.length];
    for (int i = 0; i < exact.length; i++) {
      int at = i / in * groups + i % in / group;
      scale[at] = (float) Math.max(scale[at], Math.abs(exact[i]));
    }
    for (int i = 0; i < scale.length; i++) {
      scale[i] = Half.round(pairs ? scale[i] * 2 / 15 : scale[i] / 127);
    }
    int most = pairs ? 7 : 127;
    for (int i = 0; i < codes.length; i++) {
      double code = Math.rint(exact[i] / scale[i / in * groups + i % in / group]);
      codes[i] = (int) Math.max(-most - 1, Math.min(most, code));
    }
    HostTensor stored = pairs ? pairs(codes, out, in) : bytes(codes, out, in);
    Shape scaleShape = pairs ? Shape.of(out, groups) : Shape.of(out);
    HostTensor storedScale = pairs ? halves(scaleShape, scale) : HostTensor.of(scaleShape, scale);
    tensors.put(name, stored);
    tensors.put(QuantizedNames.scale(name), storedScale);
    QuantizedWeight weight = QuantizedWeight.of(stored, storedScale);
    QuantizedWeight used = meetsCodes ? weight.asInt8() : weight;
    float[] row = new float[in];
    double[] values = new double[exact.length];
    for (int o = 0; o < out; o++) {
      used.read(o, row, 0);
      for (int i = 0; i < in; i++) {
        values[o * in + i] = row[i];
      }
    }
    weights.put(name, values);
  }

  private static HostTensor bytes(int[] codes, int out, int in) {
    ByteBuffer data = ByteBuffer.allocateDirect(codes.length);
    Arrays.stream(codes).forEach(code -> data.put((byte) code));
    return new HostTensor(DType.I8, Shape.of(out, in), data.flip());
  }

  private static HostTensor pairs(int[] codes, int out, int in) {
    ByteBuffer data = ByteBuffer.allocateDirect(codes.length / 2);
    for (int i = 0; i < codes.length; i += 2) {
      data.put((byte) ((codes[i] & 15) + 16 * (codes[i + 1] & 15)));
    }
    return new HostTensor(DType.U8, Shape.of(out, in / 2), data.flip());
  }

  private static HostTensor halves(Shape shape, float... values) {
    ByteBuffer data =
        ByteBuffer.allocateDirect(values.length * Short.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      data.putShort(Half.bits(value));
    }
    return new HostTensor(DType.F16, shape, data.flip());
  }

  /** The tensors, to be changed by a test. */
  Map<String, HostTensor> tensors() {
    return tensors;
  }

  @Override
  public double[] pass(int layer, Tap tap, double[] values) {
    if (tap == Tap.STATE) {
      return keep(layer, values);
    }
    return isRounded(layer, tap) ? rounded(QuantizedNames.scale(layer, tap), values) : values;
  }

  @Override
  public double[] head(double[] values) {
    String name = QuantizedNames.HEAD_INPUT_SCALE;
    return scales.containsKey(name) ? rounded(name, values) : values;
  }

  private double[] rounded(String name, double[] values) {
    float[] scale = scales.get(name);
    double[] kept = new double[values.length];
    for (int i = 0; i < kept.length; i++) {
      double unit = scale[i % scale.length];
      kept[i] = Math.max(-128, Math.min(127, Math.rint(values[i] / unit))) * unit;
    }
    return kept;
  }

  private double[] keep(int layer, double[] values) {
    int states = model.parsed().mixer().dims().stateDim();
    return switch (state) {
      case F32 -> values;
      case F16 -> Arrays.stream(values).map(v -> Half.round((float) v)).toArray();
      case I8_STATIC -> rounded(QuantizedNames.scale(layer, Tap.STATE), values);
      case I8 -> {
        double[] kept = new double[values.length];
        for (int at = 0; at < kept.length; at += states) {
          double most = 0;
          for (int i = at; i < at + states; i++) {
            most = Math.max(most, Math.abs(values[i]));
          }
          for (int i = at; i < at + states && most > 0; i++) {
            kept[i] = Math.rint(values[i] / (most / 127)) * (most / 127);
          }
        }
        yield kept;
      }
    };
  }

  @Override
  public ModelConfig parsed() {
    return model.parsed();
  }

  @Override
  public double[] values(String name) {
    return weights.containsKey(name) ? weights.get(name) : model.values(name);
  }

  @Override
  public String config() {
    return model.config();
  }

  @Override
  public Set<String> names() {
    return tensors.keySet();
  }

  @Override
  public HostTensor tensor(String name) {
    if (!tensors.containsKey(name)) {
      throw new InvalidCheckpointException("no tensor " + name);
    }
    return tensors.get(name);
  }
}
