package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import quamba.kernels.DType;
import quamba.kernels.HostFloats;
import quamba.kernels.HostTensor;
import quamba.kernels.QuantizedWeight;
import quamba.kernels.Shape;

/**
 * A matrix (out, in) cut into panels of {@link #WIDTH} output channels: element (o, i) lies at
 * panel o / WIDTH, then i, then o % WIDTH. The last panel is filled up with zeros.
 *
 * <p>For I8 inputs the elements are codes, held as floats: products of codes and short enough sums
 * of them are exact in f32 too, and no other multiply-add is as fast here.
 */
final class CpuPacked extends CpuOpaque {
  /** Two vectors. */
  static final int WIDTH = 2 * FloatVector.SPECIES_PREFERRED.length();

  private final Shape shape;
  private final DType input;
  private final float[] panels; // (ceil(out / WIDTH), in, WIDTH)
  private final float[] rowScales; // (ceil(out / WIDTH) · WIDTH) of codes

  private CpuPacked(Shape shape, DType input, float[] panels, float[] rowScales) {
    this.shape = shape;
    this.input = input;
    this.panels = panels;
    this.rowScales = rowScales;
  }

  /** Writes a row of the matrix to {@code target}. */
  private interface Rows {
    void read(int row, float[] target);
  }

  /** Packs a row-major matrix of any floating-point dtype. */
  static CpuPacked of(HostTensor weight) {
    int in = weight.shape().dim(1);
    Rows rows = (row, target) -> HostFloats.read(weight, row * in, in, target, 0);
    return new CpuPacked(weight.shape(), DType.F32, panels(weight.shape(), rows), new float[0]);
  }

  /** Packs codes for I8 inputs, and their values for F32 inputs. */
  static CpuPacked of(QuantizedWeight weight, DType input) {
    Shape shape = Shape.of(weight.out(), weight.in());
    if (input == DType.F32) {
      float[] panels = panels(shape, (row, target) -> weight.read(row, target, 0));
      return new CpuPacked(shape, input, panels, new float[0]);
    }
    QuantizedWeight.Int8 codes = weight.asInt8();
    float[] panels = panels(shape, (row, target) -> codes.readCodes(row, target, 0));
    float[] scales = new float[(shape.dim(0) + WIDTH - 1) / WIDTH * WIDTH];
    for (int row = 0; row < shape.dim(0); row++) {
      scales[row] = codes.scale(row);
    }
    return new CpuPacked(shape, input, panels, scales);
  }

  private static float[] panels(Shape shape, Rows rows) {
    int out = shape.dim(0);
    int in = shape.dim(1);
    int count = (out + WIDTH - 1) / WIDTH;
    int length = CpuTensor.arrayLength((long) count * in * WIDTH, "packed matrix " + shape);
    float[] panels = new float[length];
    float[] row = new float[in];
    for (int o = 0; o < out; o++) {
      rows.read(o, row);
      int at = start(o, in);
      for (int i = 0; i < in; i++) {
        panels[at + i * WIDTH] = row[i];
      }
    }
    return panels;
  }

  /** Where element (row, 0) lies; (row, i) is {@code i · WIDTH} further. */
  int start(int row) {
    return start(row, shape.dim(1));
  }

  private static int start(int row, int in) {
    return row / WIDTH * in * WIDTH + row % WIDTH;
  }

  /** (ceil(out / WIDTH), in, WIDTH). */
  float[] panels() {
    return panels;
  }

  /** Of a matrix for I8 inputs, what a row's codes are multiplied by. */
  float[] rowScales() {
    return rowScales;
  }

  /** The dtype of the inputs that it is for. */
  @Override
  public DType dtype() {
    return input;
  }

  @Override
  public Shape shape() {
    return shape;
  }
}
