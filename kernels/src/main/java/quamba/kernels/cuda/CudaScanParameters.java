package quamba.kernels.cuda;

import quamba.kernels.DType;

/** The parameters of the kernels of scan, as they stand in the {@code .cu} files. */
final class CudaScanParameters {
  private CudaScanParameters() {}

  static String scan(DType x, DType dt, String dims) {
    return "const int* slots, const int* starts, const int* positions, const float* a,"
        + " const float* dt_bias, const float* skip, "
        + String.join(
            ", ",
            CudaKernel.values("x", x),
            CudaKernel.values("dt", dt),
            CudaKernel.values("b", x),
            CudaKernel.values("c", x))
        + ", float* state, int state_stride, int rounding, const float* state_scale,"
        + " float* out, int out_stride, "
        + dims
        + ", float dt_min, float dt_max";
  }

  static String replayOne(DType x) {
    return "const int* slots, const int* positions, "
        + inputs(x)
        + ", signed char* state, int state_stride, const float* state_scale, float* out,"
        + " int out_stride, int heads, int heads_per_group, int split_rows, int split_ways, int heads_per_block,"
        + " float dt_min, float dt_max";
  }

  static String replayMany(DType x) {
    return "const int* slots, const int* starts, const int* positions, "
        + inputs(x)
        + ", signed char* state, int state_stride, const float* state_scale, float* out,"
        + " int out_stride, int heads, int heads_per_group, int aligned, float dt_min,"
        + " float dt_max";
  }

  static String keep(DType b) {
    return "const int* slots, const int* starts, const int* positions, "
        + (b == DType.I8 ? "const signed char*" : "const float*")
        + " b, int b_stride, signed char* state, int state_stride, int heads";
  }

  static String scanHeads(DType x) {
    return "const int* slots, const int* starts, const int* positions, "
        + inputs(x)
        + ", float* state, int state_stride, float* out, int out_stride, int heads,"
        + " int heads_per_group, int aligned, float dt_min, float dt_max";
  }

  /** What is read with {@code Inputs} in {@code scan_ring.cuh}. */
  private static String inputs(DType x) {
    String dt = CudaKernel.values("dt", x).replace("signed char", "void");
    return "const float* a, const float* dt_bias, const float* skip, "
        + String.join(
            ", ",
            CudaKernel.values("x", x),
            dt,
            CudaKernel.values("b", x),
            CudaKernel.values("c", x));
  }
}
