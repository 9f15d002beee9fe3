package quamba.udf.model;

import quamba.kernels.Backend;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;
import quamba.kernels.Tensor;

/** What flows through some columns of a buffer in one layer: its precision is chosen here. */
sealed interface Flow {
  /** The columns' tensor in {@code buffer}. */
  Tensor in(Activations.Buffer buffer);

  DType dtype();

  /** The flow of {@code columns}, their scales uploaded. */
  static Flow of(Backend backend, Columns columns) {
    if (columns.dtype() == DType.F32) {
      return new Floats(columns.first(), columns.count());
    }
    float[] scales = columns.scales();
    Tensor scale = backend.upload(HostTensor.of(Shape.of(scales.length), scales));
    return new Codes(columns.first(), columns.count(), scale);
  }

  /** In f32. */
  record Floats(int first, int count) implements Flow {
    @Override
    public Tensor in(Activations.Buffer buffer) {
      return buffer.floats().columns(first, count);
    }

    @Override
    public DType dtype() {
      return DType.F32;
    }
  }

  /** In int8 with a scale, (1) or (count) f32. */
  record Codes(int first, int count, Tensor scale) implements Flow {
    @Override
    public Tensor in(Activations.Buffer buffer) {
      return buffer.codes().columns(first, count).scaled(scale);
    }

    @Override
    public DType dtype() {
      return DType.I8;
    }
  }
}
