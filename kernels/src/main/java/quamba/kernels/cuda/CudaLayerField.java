package quamba.kernels.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.EnumMap;
import java.util.Map;
import quamba.kernels.cuda.CudaKernel.Parameter;

/** The fields of {@code Layer} in {@code layers.cuh}, in order. */
enum CudaLayerField {
  NORM_WEIGHT(Parameter.READS_F32),
  IN_X_SCALE(Parameter.READS_F32),
  IN_WEIGHT(Parameter.READS_I8),
  IN_ROW_SCALE(Parameter.READS_F32),
  IN_OUT(Parameter.WRITES_I8),
  IN_OUT_SCALE(Parameter.READS_F32),
  TAIL_WEIGHT(Parameter.READS_I8),
  TAIL_ROW_SCALE(Parameter.READS_F32),
  TAIL_OUT(Parameter.WRITES_F32),
  CONV_WEIGHT(Parameter.READS_F32),
  CONV_BIAS(Parameter.READS_F32),
  CONV_IN_SCALE(Parameter.READS_F32),
  CONV_STATE(Parameter.WRITES_I8),
  CONV_OUT_SCALE(Parameter.READS_F32),
  A(Parameter.READS_F32),
  DT_BIAS(Parameter.READS_F32),
  SKIP(Parameter.READS_F32),
  X(Parameter.READS_I8),
  X_SCALE(Parameter.READS_F32),
  DT(Parameter.READS_EITHER),
  DT_SCALE(Parameter.READS_F32),
  B(Parameter.READS_I8),
  B_SCALE(Parameter.READS_F32),
  C(Parameter.READS_I8),
  C_SCALE(Parameter.READS_F32),
  STATE(Parameter.WRITES_I8),
  STATE_SCALE(Parameter.READS_F32),
  Y(Parameter.WRITES_F32),
  Z(Parameter.READS_I8),
  Z_SCALE(Parameter.READS_F32),
  GATE_WEIGHT(Parameter.READS_F32),
  OUT_X_SCALE(Parameter.READS_F32),
  OUT_WEIGHT(Parameter.READS_I8),
  OUT_ROW_SCALE(Parameter.READS_F32),
  NORM_EPSILON(Parameter.FLOAT),
  IN_OUT_SCALE_STEP(Parameter.INT),
  IN_OUT_DIM(Parameter.INT),
  TAIL_DIM(Parameter.INT),
  CONV_IN_SCALE_STEP(Parameter.INT),
  CONV_STATE_STRIDE(Parameter.INT),
  CONV_OUT_SCALE_STEP(Parameter.INT),
  CONV_FIRST(Parameter.INT),
  CHANNELS(Parameter.INT),
  HEADS(Parameter.INT),
  HEADS_PER_GROUP(Parameter.INT),
  X_SCALE_STEP(Parameter.INT),
  DT_SCALE_STEP(Parameter.INT),
  B_SCALE_STEP(Parameter.INT),
  C_SCALE_STEP(Parameter.INT),
  STATE_STRIDE(Parameter.INT),
  STATE_FORMAT(Parameter.INT),
  DT_MIN(Parameter.FLOAT),
  DT_MAX(Parameter.FLOAT),
  Z_SCALE_STEP(Parameter.INT),
  GROUPS(Parameter.INT),
  GATE_EPSILON(Parameter.FLOAT),
  FACTOR(Parameter.FLOAT),
  UNUSED(Parameter.INT);

  private final Parameter type;

  CudaLayerField(Parameter type) {
    this.type = type;
  }

  /** What it holds. */
  Parameter type() {
    return type;
  }

  private boolean isNumber() {
    return type == Parameter.INT || type == Parameter.FLOAT;
  }

  /** Bytes of all fields together. */
  static int bytes() {
    int bytes = 0;
    for (CudaLayerField field : values()) {
      bytes += field.isNumber() ? Integer.BYTES : Long.BYTES;
    }
    return bytes;
  }

  /** The fields of one layer: null or 0 unless they were put. */
  static final class Values {
    private final Map<CudaLayerField, Long> bits = new EnumMap<>(CudaLayerField.class);

    /** The address of a tensor. */
    Values put(CudaLayerField field, CudaTensor tensor) {
      require(field.type.pointsTo(tensor.dtype()), field);
      bits.put(field, tensor.address().value());
      return this;
    }

    /** The addresses of codes and of their scales, and these' step. */
    Values put(CudaLayerField field, CudaLayerField scale, CudaLayerField step, CudaTensor codes) {
      return put(field, codes).putScale(scale, step, codes);
    }

    /** The address of codes' scales, and these' step. */
    Values putScale(CudaLayerField scale, CudaLayerField step, CudaTensor codes) {
      return put(scale, codes.scale()).put(step, codes.isScaledByColumn() ? 1 : 0);
    }

    Values put(CudaLayerField field, int value) {
      require(field.type == Parameter.INT, field);
      bits.put(field, (long) value);
      return this;
    }

    Values put(CudaLayerField field, float value) {
      require(field.type == Parameter.FLOAT, field);
      bits.put(field, (long) Float.floatToRawIntBits(value));
      return this;
    }

    /** Writes all fields. */
    void write(ByteBuffer to) {
      ByteBuffer target = to.order(ByteOrder.nativeOrder());
      for (CudaLayerField field : values()) {
        long value = bits.getOrDefault(field, 0L);
        if (field.isNumber()) {
          target.putInt((int) value);
        } else {
          target.putLong(value);
        }
      }
    }

    /** Fields and their uses are of one program: this never fails in use. */
    private static void require(boolean fits, CudaLayerField field) {
      if (!fits) {
        throw new IllegalStateException("%s is not a field of this type".formatted(field));
      }
    }
  }
}
