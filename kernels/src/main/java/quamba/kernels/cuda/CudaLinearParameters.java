package quamba.kernels.cuda;

import quamba.kernels.DType;

/** The parameters of the kernels of linear, as they stand in the {@code .cu} files. */
final class CudaLinearParameters {
  private CudaLinearParameters() {}

  static String linearOfCodes(DType out) {
    return "const signed char* weight, const float* row_scales, const signed char* x,"
        + " int x_stride, const float* x_scale, "
        + CudaKernel.results(out)
        + ", int n, int in, int out_dim";
  }

  static String linearPacked(DType out, String splits) {
    return "const signed char* weight, const float* row_scale, const signed char* x, int x_stride,"
        + " const float* x_scale, "
        + CudaKernel.results(out)
        + ", "
        + splits
        + "int n, int in, int out_dim";
  }

  static String linearWide(DType out) {
    return linearPacked(out, "int splits, ");
  }

  /** What is read with {@code Tail} in {@code linear_tail.cuh}. */
  static String withTail(String linear) {
    return linear
        + ", const signed char* tail_weight, const float* tail_row_scale, float* tail_out,"
        + " int tail_out_stride, int tail_out_dim";
  }

  /** What is read with {@code ConvStep} in {@code linear_conv.cuh}, behind all the others. */
  static String withConv(String splits) {
    return withTail(linearPacked(DType.I8, splits))
        + ", const int* slots, const int* positions, const float* conv_weight,"
        + " const float* conv_bias, const float* conv_in_scale, int conv_in_scale_step,"
        + " signed char* state, int state_stride, const float* conv_out_scale,"
        + " int conv_out_scale_step, int conv_first, int channels";
  }
}
