package quamba.kernels.cuda;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import quamba.kernels.DType;

/**
 * Every entry point of the {@code .cu} files, with the threads of its blocks and its parameters as
 * they stand there; shapes are told there too. An entry's name is its constant's in lower case, and
 * the name's first word is its file.
 */
enum CudaKernel {
  EMBED_F32_F32(
      128,
      "const int* ids, const float* table, int table_stride, float* out, int out_stride, int dim"),
  EMBED_PACKED_F32_F32(
      128, "const int* ids, const float* table, float* out, int out_stride, int dim"),
  NORM_F32_F32(
      256,
      "const float* x, int x_stride, float* residual, int residual_stride, const float* weight,"
          + " float* out, int out_stride, int model_dim, float epsilon"),
  LINEAR_F32_F32_F32(
      256,
      "const float* weight, const float* x, int x_stride, float* out, int out_stride, int n,"
          + " int in, int out_dim"),
  CONV_F32_F32_F32(
      128,
      "const int* slots, const int* starts, const int* positions, const float* weight,"
          + " const float* bias, const float* x, int x_stride, float* state, int state_stride,"
          + " float* out, int out_stride, int channels, int conv_width"),
  SCAN_HEADS_F32_F32_F32(128, scan("int head_dim, int state_dim, int heads_per_group")),
  SCAN_HEADS_WIDE_F32_F32_F32(128, scan("int head_dim, int state_dim, int heads_per_group")),
  SCAN_CHANNELS_F32_F32_F32(128, scan("int heads, int state_dim")),
  SCAN_CHANNELS_WIDE_F32_F32_F32(128, scan("int heads, int state_dim")),
  GATE_F32_F32(
      256,
      "const float* y, int y_stride, const float* z, int z_stride, float* out, int out_stride,"
          + " int inner_dim"),
  GATE_NORM_F32_F32(
      256,
      "const float* y, int y_stride, const float* z, int z_stride, const float* weight, float* out,"
          + " int out_stride, int width, float epsilon"),
  SAMPLE_F32(
      512,
      "const int* slots, const int* starts, const int* positions, const float* options,"
          + " const int* keys, signed char* seen, int seen_stride, const int* ids,"
          + " const float* logits, int logits_stride, int* out, int chosen, int vocab");

  /** What an entry point takes. */
  enum Parameter {
    READS_F32("const float*"),
    WRITES_F32("float*"),
    READS_I32("const int*"),
    WRITES_I32("int*"),
    WRITES_I8("signed char*"),
    INT("int"),
    FLOAT("float");

    private final String text;

    Parameter(String text) {
      this.text = text;
    }

    private static Parameter of(String text) {
      for (Parameter parameter : values()) {
        if (parameter.text.equals(text)) {
          return parameter;
        }
      }
      throw new IllegalArgumentException("no parameter type " + text);
    }

    /** Whether this is a pointer to elements of this type. */
    boolean pointsTo(DType dtype) {
      return switch (this) {
        case READS_F32, WRITES_F32 -> dtype == DType.F32;
        case READS_I32, WRITES_I32 -> dtype == DType.I32;
        case WRITES_I8 -> dtype == DType.I8;
        case INT, FLOAT -> false;
      };
    }
  }

  private final int threads;
  private final String signature;

  @SuppressWarnings("Immutable") // made by toList
  private final List<Parameter> parameters;

  CudaKernel(int threads, String signature) {
    this.threads = threads;
    this.signature = signature;
    parameters =
        Arrays.stream(signature.split(", "))
            .map(
                declaration -> Parameter.of(declaration.substring(0, declaration.lastIndexOf(' '))))
            .toList();
  }

  /** The name in the fatbin: operation, then the dtypes in the order that device.cuh tells. */
  String entry() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The operation, which names the file. */
  String operation() {
    return entry().substring(0, entry().indexOf('_'));
  }

  /** Threads of a block. */
  int threads() {
    return threads;
  }

  /** The parameters with their names, as in CUDA but for {@code __restrict__}. */
  String signature() {
    return signature;
  }

  /** The parameters' types in order. */
  List<Parameter> parameters() {
    return parameters;
  }

  private static String scan(String dims) {
    return "const int* slots, const int* starts, const int* positions, const float* a,"
        + " const float* dt_bias, const float* skip, const float* x, int x_stride,"
        + " const float* dt, int dt_stride, const float* b, int b_stride, const float* c,"
        + " int c_stride, float* state, int state_stride, float* out, int out_stride, "
        + dims
        + ", float dt_min, float dt_max";
  }
}
