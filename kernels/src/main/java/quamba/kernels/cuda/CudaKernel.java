package quamba.kernels.cuda;

import static quamba.kernels.cuda.CudaLinearParameters.linearOfCodes;
import static quamba.kernels.cuda.CudaLinearParameters.linearPacked;
import static quamba.kernels.cuda.CudaLinearParameters.linearWide;
import static quamba.kernels.cuda.CudaLinearParameters.withConv;
import static quamba.kernels.cuda.CudaLinearParameters.withTail;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import quamba.kernels.DType;

/**
 * Every entry point of the {@code .cu} files, with the threads of its blocks and its parameters as
 * they stand there; shapes are told there too. An entry's name is its constant's in lower case, and
 * the name's first word is its file unless another is given. Kernels with dynamic shared memory are
 * only launched on devices with warpgroups.
 */
enum CudaKernel {
  BEGIN_F32(128, "int* ids, const int* chosen, float* residual, int residual_stride, int dim"),
  COPY_I32(128, "const int* from, int* to, int count"),
  EMBED_F32_F32(
      128,
      "const int* ids, const float* table, int table_stride, float* out, int out_stride, int dim"),
  EMBED_PACKED_F32_F32(
      128, "const int* ids, const float* table, float* out, int out_stride, int dim"),
  EMBED_PACKED_I8_F32(
      128,
      "const int* ids, const signed char* table, const float* row_scales, float* out,"
          + " int out_stride, int dim"),
  EMBED_WIDE_I8_F32(
      128,
      "const int* ids, const signed char* table, const float* row_scales, float* out,"
          + " int out_stride, int entries, int dim"),
  NORM_F32_F32(256, norm(DType.F32)),
  NORM_F32_I8(256, norm(DType.I8)),
  LINEAR_F32_F32_F32(
      256,
      "const float* weight, const float* x, int x_stride, float* out, int out_stride, int n,"
          + " int in, int out_dim"),
  LINEAR_FEW_I8_I8_F32("linear_codes", 256, linearOfCodes(DType.F32)),
  LINEAR_FEW_I8_I8_I8("linear_codes", 256, linearOfCodes(DType.I8)),
  LINEAR_I8_I8_F32("linear_codes", 256, linearOfCodes(DType.F32)),
  LINEAR_I8_I8_I8("linear_codes", 256, linearOfCodes(DType.I8)),
  LINEAR_FEW8_I4_I8_F32("linear_codes_few", 256, 8 * 12_480, linearPacked(DType.F32, "")),
  LINEAR_PAIR8_I4_I8_F32("linear_codes_few", 256, 8 * 9_408, linearPacked(DType.F32, "")),
  LINEAR_HELD8_I4_I8_F32("linear_codes_few", 256, 8 * 12_480, linearPacked(DType.F32, "")),
  LINEAR_FEW16_I4_I8_F32("linear_codes_few", 256, 8 * 12_416, linearPacked(DType.F32, "")),
  LINEAR_FEW8_I4_I8_I8("linear_codes_few", 256, 8 * 12_480, withTail(linearPacked(DType.I8, ""))),
  LINEAR_PAIR8_I4_I8_I8("linear_codes_few", 256, 8 * 9_408, withTail(linearPacked(DType.I8, ""))),
  LINEAR_FEW16_I4_I8_I8("linear_codes_few", 256, 8 * 12_416, withTail(linearPacked(DType.I8, ""))),
  LINEAR_SLICED32_I4_I8_F32("linear_codes_sliced", 512, 232_448, linearPacked(DType.F32, "")),
  LINEAR_SLICED64_I4_I8_F32("linear_codes_sliced", 512, 232_448, linearPacked(DType.F32, "")),
  LINEAR_SLICED32X4_I4_I8_F32("linear_codes_sliced", 512, 232_448, linearPacked(DType.F32, "")),
  LINEAR_SLICED64X4_I4_I8_F32("linear_codes_sliced", 512, 232_448, linearPacked(DType.F32, "")),
  LINEAR_SLICED32_I4_I8_I8(
      "linear_codes_sliced", 512, 232_448, withTail(linearPacked(DType.I8, ""))),
  LINEAR_SLICED64_I4_I8_I8(
      "linear_codes_sliced", 512, 232_448, withTail(linearPacked(DType.I8, ""))),
  LINEAR_SLICED32_CONV_I4_I8_I8("linear_codes_sliced", 512, 232_448, withConv("")),
  LINEAR_SLICED64_CONV_I4_I8_I8("linear_codes_sliced", 512, 232_448, withConv("")),
  LINEAR_FEW8_CONV_I4_I8_I8("linear_codes_few", 256, 8 * 12_480, withConv("")),
  LINEAR_PAIR8_CONV_I4_I8_I8("linear_codes_few", 256, 8 * 9_408, withConv("")),
  LINEAR_FEW16_CONV_I4_I8_I8("linear_codes_few", 256, 8 * 12_416, withConv("")),
  LINEAR_WIDE256_I8_I8_F32("linear_codes_wide", 384, 214_016, linearWide(DType.F32)),
  LINEAR_WIDE192_I8_I8_F32("linear_codes_wide", 384, 222_208, linearWide(DType.F32)),
  LINEAR_WIDE160_I8_I8_F32("linear_codes_wide", 384, 201_728, linearWide(DType.F32)),
  LINEAR_WIDE128_I8_I8_F32("linear_codes_wide", 384, 214_016, linearWide(DType.F32)),
  LINEAR_WIDE96_I8_I8_F32("linear_codes_wide", 384, 218_112, linearWide(DType.F32)),
  LINEAR_WIDE64_I8_I8_F32("linear_codes_wide", 384, 214_016, linearWide(DType.F32)),
  LINEAR_WIDE256_I8_I8_I8("linear_codes_wide", 384, 214_016, withTail(linearWide(DType.I8))),
  LINEAR_WIDE192_I8_I8_I8("linear_codes_wide", 384, 222_208, withTail(linearWide(DType.I8))),
  LINEAR_WIDE160_I8_I8_I8("linear_codes_wide", 384, 201_728, withTail(linearWide(DType.I8))),
  LINEAR_WIDE128_I8_I8_I8("linear_codes_wide", 384, 214_016, withTail(linearWide(DType.I8))),
  LINEAR_WIDE96_I8_I8_I8("linear_codes_wide", 384, 218_112, withTail(linearWide(DType.I8))),
  LINEAR_WIDE64_I8_I8_I8("linear_codes_wide", 384, 214_016, withTail(linearWide(DType.I8))),
  CONV_F32_F32_F32(
      128, conv(DType.F32, "const int* starts, const int* positions", ", int conv_width")),
  CONV_I8_I8_I8(128, conv(DType.I8, "const int* starts, const int* positions", ", int conv_width")),
  CONV_DECODE_F32_F32_F32("conv_decode", 64, conv(DType.F32, "const int* positions", ", int rows")),
  CONV_DECODE_I8_I8_I8("conv_decode", 64, conv(DType.I8, "const int* positions", ", int rows")),
  CONV_PREFILL_F32_F32_F32(
      "conv_prefill",
      128,
      conv(DType.F32, "const int* starts, const int* positions", ", int lanes")),
  CONV_PREFILL_I8_I8_I8(
      "conv_prefill",
      128,
      conv(DType.I8, "const int* starts, const int* positions", ", int lanes")),
  SCAN_HEADS_F32_F32_F32(
      128,
      CudaScanParameters.scan(
          DType.F32, DType.F32, "int head_dim, int state_dim, int heads_per_group")),
  SCAN_HEADS_I8_F32_F32_F32(
      128,
      CudaScanParameters.scan(
          DType.I8, DType.F32, "int head_dim, int state_dim, int heads_per_group")),
  SCAN_HEADS_I8_I8_F32_F32(
      128,
      CudaScanParameters.scan(
          DType.I8, DType.I8, "int head_dim, int state_dim, int heads_per_group")),
  SCAN_HEADS_WIDE_F32_F32_F32(
      128,
      CudaScanParameters.scan(
          DType.F32, DType.F32, "int head_dim, int state_dim, int heads_per_group")),
  SCAN_HEADS_WIDE_I8_F32_F32_F32(
      128,
      CudaScanParameters.scan(
          DType.I8, DType.F32, "int head_dim, int state_dim, int heads_per_group")),
  SCAN_HEADS_WIDE_I8_I8_F32_F32(
      128,
      CudaScanParameters.scan(
          DType.I8, DType.I8, "int head_dim, int state_dim, int heads_per_group")),
  SCAN_CHANNELS_F32_F32_F32(
      "scan_channels",
      128,
      CudaScanParameters.scan(DType.F32, DType.F32, "int heads, int state_dim")),
  SCAN_CHANNELS_I8_F32_F32_F32(
      "scan_channels",
      128,
      CudaScanParameters.scan(DType.I8, DType.F32, "int heads, int state_dim")),
  SCAN_CHANNELS_I8_I8_F32_F32(
      "scan_channels",
      128,
      CudaScanParameters.scan(DType.I8, DType.I8, "int heads, int state_dim")),
  SCAN_CHANNELS_WIDE_F32_F32_F32(
      "scan_channels",
      128,
      CudaScanParameters.scan(DType.F32, DType.F32, "int heads, int state_dim")),
  SCAN_CHANNELS_WIDE_I8_F32_F32_F32(
      "scan_channels",
      128,
      CudaScanParameters.scan(DType.I8, DType.F32, "int heads, int state_dim")),
  SCAN_CHANNELS_WIDE_I8_I8_F32_F32(
      "scan_channels",
      128,
      CudaScanParameters.scan(DType.I8, DType.I8, "int heads, int state_dim")),
  SCAN_DECODE_F32_ROW_F32("scan_decode", 128, CudaScanParameters.replayOne(DType.F32)),
  SCAN_DECODE_F32_I8_F32("scan_decode", 128, CudaScanParameters.replayOne(DType.F32)),
  SCAN_DECODE_F32_F16_F32("scan_decode", 128, CudaScanParameters.replayOne(DType.F32)),
  SCAN_DECODE_I8_ROW_F32("scan_decode", 128, CudaScanParameters.replayOne(DType.I8)),
  SCAN_DECODE_I8_I8_F32("scan_decode", 128, CudaScanParameters.replayOne(DType.I8)),
  SCAN_DECODE_I8_F16_F32("scan_decode", 128, CudaScanParameters.replayOne(DType.I8)),
  SCAN_CHUNK_F32_ROW_F32("scan_chunk", 128, CudaScanParameters.replayMany(DType.F32)),
  SCAN_CHUNK_F32_I8_F32("scan_chunk", 128, CudaScanParameters.replayMany(DType.F32)),
  SCAN_CHUNK_F32_F16_F32("scan_chunk", 128, CudaScanParameters.replayMany(DType.F32)),
  SCAN_CHUNK_I8_ROW_F32("scan_chunk", 128, CudaScanParameters.replayMany(DType.I8)),
  SCAN_CHUNK_I8_I8_F32("scan_chunk", 128, CudaScanParameters.replayMany(DType.I8)),
  SCAN_CHUNK_I8_F16_F32("scan_chunk", 128, CudaScanParameters.replayMany(DType.I8)),
  SCAN_KEEP_ROW_F32("scan_chunk", 128, CudaScanParameters.keep(DType.F32)),
  SCAN_KEEP_ROW_I8("scan_chunk", 128, CudaScanParameters.keep(DType.I8)),
  SCAN_KEEP_I8_F32("scan_chunk", 128, CudaScanParameters.keep(DType.F32)),
  SCAN_KEEP_I8_I8("scan_chunk", 128, CudaScanParameters.keep(DType.I8)),
  SCAN_KEEP_F16_F32("scan_chunk", 128, CudaScanParameters.keep(DType.F32)),
  SCAN_KEEP_F16_I8("scan_chunk", 128, CudaScanParameters.keep(DType.I8)),
  SCAN_DECODE_F32_F32_F32("scan_decode_f32", 256, CudaScanParameters.scanHeads(DType.F32)),
  SCAN_DECODE_I8_F32_F32("scan_decode_f32", 256, CudaScanParameters.scanHeads(DType.I8)),
  GATE_F32_F32(256, gate(DType.F32, DType.F32)),
  GATE_F32_I8(256, gate(DType.F32, DType.I8)),
  GATE_I8_F32(256, gate(DType.I8, DType.F32)),
  GATE_I8_I8(256, gate(DType.I8, DType.I8)),
  GATE_NORM_F32_F32(256, gateNorm(DType.F32, DType.F32)),
  GATE_NORM_F32_I8(256, gateNorm(DType.F32, DType.I8)),
  GATE_NORM_I8_F32(256, gateNorm(DType.I8, DType.F32)),
  GATE_NORM_I8_I8(256, gateNorm(DType.I8, DType.I8)),
  GATE_ROTATE_F32_F32("gate_rotate", 1024, gateRotate(DType.F32, DType.F32)),
  GATE_ROTATE_F32_I8("gate_rotate", 1024, gateRotate(DType.F32, DType.I8)),
  GATE_ROTATE_I8_F32("gate_rotate", 1024, gateRotate(DType.I8, DType.F32)),
  GATE_ROTATE_I8_I8("gate_rotate", 1024, gateRotate(DType.I8, DType.I8)),
  GATE_ROTATE_FEW_F32_F32("gate_rotate_few", 512, gateRotate(DType.F32, DType.F32)),
  GATE_ROTATE_FEW_F32_I8("gate_rotate_few", 512, gateRotate(DType.F32, DType.I8)),
  GATE_ROTATE_FEW_I8_F32("gate_rotate_few", 512, gateRotate(DType.I8, DType.F32)),
  GATE_ROTATE_FEW_I8_I8("gate_rotate_few", 512, gateRotate(DType.I8, DType.I8)),
  ROTATE_F32_F32(256, rotate(DType.F32)),
  ROTATE_F32_I8(256, rotate(DType.I8)),
  SAMPLE_F32(
      1024,
      "const int* slots, const int* starts, const int* positions, const float* options,"
          + " const int* keys, signed char* seen, int seen_stride, const int* ids,"
          + " const float* logits, int logits_stride, int* out, int chosen, int vocab");

  /** What an entry point takes. */
  enum Parameter {
    READS_F32("const float*"),
    WRITES_F32("float*"),
    READS_I32("const int*"),
    WRITES_I32("int*"),
    READS_I8("const signed char*"),
    WRITES_I8("signed char*"),
    READS_EITHER("const void*"),
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
        case READS_I8, WRITES_I8 -> dtype == DType.I8;
        case READS_EITHER -> dtype == DType.F32 || dtype == DType.I8;
        case INT, FLOAT -> false;
      };
    }
  }

  private static final Set<String> EARLY_FILES =
      Set.of(
          "conv_decode",
          "embed",
          "gate_rotate",
          "gate_rotate_few",
          "linear_codes_few",
          "linear_codes_sliced",
          "linear_codes_wide",
          "norm",
          "sample");

  private static final String SCAN_FILE = "scan_decode";

  private static final Set<CudaKernel> BEFORE_SCAN =
      Set.of(
          LINEAR_FEW8_I4_I8_I8,
          LINEAR_PAIR8_I4_I8_I8,
          LINEAR_FEW8_CONV_I4_I8_I8,
          LINEAR_PAIR8_CONV_I4_I8_I8);

  private static final Set<String> SPREAD_FILES = Set.of("conv_decode", "norm");

  private final String entry;
  private final String file;
  private final int threads;
  private final int sharedBytes;
  private final String signature;

  @SuppressWarnings("Immutable") // made by toList
  private final List<Parameter> parameters;

  CudaKernel(int threads, String signature) {
    this("", threads, 0, signature);
  }

  CudaKernel(String file, int threads, String signature) {
    this(file, threads, 0, signature);
  }

  CudaKernel(String file, int threads, int sharedBytes, String signature) {
    entry = name().toLowerCase(Locale.ROOT);
    this.file = file.isEmpty() ? entry.substring(0, entry.indexOf('_')) : file;
    this.threads = threads;
    this.sharedBytes = sharedBytes;
    this.signature = signature;
    parameters =
        Arrays.stream(signature.split(", "))
            .map(
                declaration -> Parameter.of(declaration.substring(0, declaration.lastIndexOf(' '))))
            .toList();
  }

  /** The name in the fatbin: operation, then the dtypes in the order that device.cuh tells. */
  String entry() {
    return entry;
  }

  /** The name of its {@code .cu} file and fatbin. */
  String file() {
    return file;
  }

  /** Threads of a block. */
  int threads() {
    return threads;
  }

  /** Dynamic shared memory of a block. */
  int sharedBytes() {
    return sharedBytes;
  }

  /**
   * Whether it begins while this one, the kernel before it, ends, and waits where it needs what
   * that wrote. The scan reads its state before it waits, so it does behind those only that let it
   * begin once all before them are done; of them, those for more rows leave no room for it.
   */
  boolean beginsEarly(CudaKernel before) {
    return EARLY_FILES.contains(file) || (file.equals(SCAN_FILE) && BEFORE_SCAN.contains(before));
  }

  /**
   * Whether its blocks are small ones that begin early, and so would crowd where there is room
   * first.
   */
  boolean spreads() {
    return SPREAD_FILES.contains(file);
  }

  /** The parameters with their names, as in CUDA but for {@code __restrict__}. */
  String signature() {
    return signature;
  }

  /** The parameters' types in order. */
  List<Parameter> parameters() {
    return parameters;
  }

  /** Whether it computes another product of the same inputs too. */
  boolean hasTail() {
    return signature.contains("tail_weight");
  }

  /** What is read with {@code Values} in {@code codes.cuh}. */
  static String values(String name, DType dtype) {
    return dtype == DType.I8
        ? "const signed char* NAME, int NAME_stride, const float* NAME_scale, int NAME_scale_step"
            .replace("NAME", name)
        : "const float* NAME, int NAME_stride".replace("NAME", name);
  }

  /** What is written with {@code Results} in {@code codes.cuh}. */
  static String results(DType dtype) {
    return dtype == DType.I8
        ? "signed char* out, int out_stride, const float* out_scale, int out_scale_step"
        : "float* out, int out_stride";
  }

  private static String norm(DType out) {
    return "const float* x, int x_stride, float* residual, int residual_stride,"
        + " const float* weight, "
        + results(out)
        + ", int model_dim, float epsilon";
  }

  private static String conv(DType x, String rows, String last) {
    return "const int* slots, "
        + rows
        + ", const float* weight, const float* bias, "
        + values("x", x)
        + (x == DType.I8 ? ", signed char*" : ", float*")
        + " state, int state_stride, "
        + results(x)
        + ", int channels"
        + last;
  }

  private static String gate(DType z, DType out) {
    return values("y", DType.F32) + ", " + values("z", z) + ", " + results(out) + ", int inner_dim";
  }

  private static String gateNorm(DType z, DType out) {
    return values("y", DType.F32)
        + ", "
        + values("z", z)
        + ", const float* weight, "
        + results(out)
        + ", int width, float epsilon";
  }

  private static String gateRotate(DType z, DType out) {
    return values("y", DType.F32)
        + ", "
        + values("z", z)
        + ", const float* weight, "
        + results(out)
        + ", int n, int inner_dim, int groups, float epsilon, float factor";
  }

  private static String rotate(DType out) {
    return values("x", DType.F32)
        + ", "
        + results(out)
        + ", int inner_dim, int base, int width, float scale";
  }
}
