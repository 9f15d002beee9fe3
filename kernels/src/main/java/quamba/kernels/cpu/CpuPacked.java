package quamba.kernels.cpu;

import jdk.incubator.vector.FloatVector;
import quamba.kernels.DType;
import quamba.kernels.HostFloats;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/**
 * A matrix (out, in) cut into panels of {@link #WIDTH} output channels: element (o, i) lies at
 * panel o / WIDTH, then i, then o % WIDTH. The last panel is filled up with zeros.
 */
final class CpuPacked implements Tensor {
  /** Two vectors. */
  static final int WIDTH = 2 * FloatVector.SPECIES_PREFERRED.length();

  private final Shape shape;
  private final float[] panels; // (ceil(out / WIDTH), in, WIDTH)

  private CpuPacked(Shape shape, float[] panels) {
    this.shape = shape;
    this.panels = panels;
  }

  /** Packs a row-major matrix of any floating-point dtype. */
  static CpuPacked of(HostTensor weight) {
    Shape shape = weight.shape();
    int out = shape.dim(0);
    int in = shape.dim(1);
    int count = (out + WIDTH - 1) / WIDTH;
    int length = CpuTensor.arrayLength((long) count * in * WIDTH, "packed matrix " + shape);
    float[] panels = new float[length];
    float[] row = new float[in];
    for (int o = 0; o < out; o++) {
      HostFloats.read(weight, o * in, in, row, 0);
      int at = start(o, in);
      for (int i = 0; i < in; i++) {
        panels[at + i * WIDTH] = row[i];
      }
    }
    return new CpuPacked(shape, panels);
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

  @Override
  public DType dtype() {
    return DType.F32;
  }

  @Override
  public Shape shape() {
    return shape;
  }

  @Override
  public Tensor rows(int first, int count) {
    throw new UnsupportedOperationException("a packed matrix has no views");
  }

  @Override
  public Tensor columns(int first, int count) {
    throw new UnsupportedOperationException("a packed matrix has no views");
  }
}
