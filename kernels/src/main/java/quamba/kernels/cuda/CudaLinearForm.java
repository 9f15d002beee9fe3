package quamba.kernels.cuda;

import java.util.Optional;
import quamba.kernels.DType;

/**
 * The kernels that multiply codes on devices with warpgroups: which one is for which size, and over
 * how many blocks. All give the same bits.
 */
enum CudaLinearForm {
  FEW8(CudaKernel.LINEAR_FEW8_I4_I8_F32, CudaKernel.LINEAR_FEW8_I4_I8_I8, 8, 16),
  FEW16(CudaKernel.LINEAR_FEW16_I4_I8_F32, CudaKernel.LINEAR_FEW16_I4_I8_I8, 16, 16),
  NARROW16(CudaKernel.LINEAR_NARROW16_I4_I8_F32, CudaKernel.LINEAR_NARROW16_I4_I8_I8, 16, 64, 5),
  NARROW32(CudaKernel.LINEAR_NARROW32_I4_I8_F32, CudaKernel.LINEAR_NARROW32_I4_I8_I8, 32, 64, 4),
  NARROW64(CudaKernel.LINEAR_NARROW64_I4_I8_F32, CudaKernel.LINEAR_NARROW64_I4_I8_I8, 64, 64, 4),
  NARROW128(
      CudaKernel.LINEAR_NARROW128_I4_I8_F32, CudaKernel.LINEAR_NARROW128_I4_I8_I8, 128, 128, 2),
  NARROW256(
      CudaKernel.LINEAR_NARROW256_I4_I8_F32, CudaKernel.LINEAR_NARROW256_I4_I8_I8, 256, 128, 1),
  WIDE64(CudaKernel.LINEAR_WIDE64_I8_I8_F32, CudaKernel.LINEAR_WIDE64_I8_I8_I8, 64),
  WIDE128(CudaKernel.LINEAR_WIDE128_I8_I8_F32, CudaKernel.LINEAR_WIDE128_I8_I8_I8, 128),
  WIDE192(CudaKernel.LINEAR_WIDE192_I8_I8_F32, CudaKernel.LINEAR_WIDE192_I8_I8_I8, 192),
  WIDE256(CudaKernel.LINEAR_WIDE256_I8_I8_F32, CudaKernel.LINEAR_WIDE256_I8_I8_I8, 256);

  /** Rows of x up to which 4-bit codes are multiplied as they are. */
  static final int FOUR_BIT_ROWS = 64;

  /** Rows of x that a block of a wide form works on. */
  static final int WIDE_ROWS = 128;

  /** The most blocks that share a panel's inputs, and what their number along x must divide by. */
  static final int CLUSTER = 8;

  /** What a tile costs beside its outputs, counted in outputs. */
  private static final int TILE_COST = 64;

  /**
   * Extents of a product.
   *
   * @param tail outputs of another product of the same inputs, if that is launched with it
   */
  record Size(int n, int in, int out, int tail) {
    Size(int n, int in, int out) {
      this(n, in, out, 0);
    }
  }

  private final CudaKernel floats;
  private final CudaKernel codes;
  private final int rows;
  private final int outputs;
  private final int resident;

  CudaLinearForm(CudaKernel floats, CudaKernel codes, int outputs) {
    this(floats, codes, WIDE_ROWS, outputs, 0);
  }

  CudaLinearForm(CudaKernel floats, CudaKernel codes, int rows, int outputs) {
    this(floats, codes, rows, outputs, 0);
  }

  /**
   * One row of the table above.
   *
   * @param floats writes f32
   * @param codes writes i8
   * @param rows of x that a block works on
   * @param outputs that a block works on
   * @param resident blocks that a multiprocessor holds at once, of forms that split inputs
   */
  CudaLinearForm(CudaKernel floats, CudaKernel codes, int rows, int outputs, int resident) {
    this.floats = floats;
    this.codes = codes;
    this.rows = rows;
    this.outputs = outputs;
    this.resident = resident;
  }

  /** What multiplies 4-bit codes by up to {@link #FOUR_BIT_ROWS} rows. */
  static CudaLinearForm ofFourBit(int n) {
    if (n <= FEW8.rows) {
      return FEW8;
    }
    if (n <= FEW16.rows) {
      return FEW16;
    }
    return n <= NARROW32.rows ? NARROW32 : NARROW64;
  }

  /** What multiplies 8-bit codes: of the tiles that need the fewest turns, the cheapest. */
  static CudaLinearForm ofEightBit(Size size, int multiprocessors) {
    CudaLinearForm best = WIDE256;
    best = cheaper(best, WIDE192, size, multiprocessors);
    best = cheaper(best, WIDE128, size, multiprocessors);
    return cheaper(best, WIDE64, size, multiprocessors);
  }

  private static CudaLinearForm cheaper(
      CudaLinearForm first, CudaLinearForm second, Size size, int multiprocessors) {
    return second.cost(size, multiprocessors) < first.cost(size, multiprocessors) ? second : first;
  }

  private long cost(Size size, int multiprocessors) {
    long turns = (tiles(size) + multiprocessors - 1) / multiprocessors;
    return turns * (outputs + TILE_COST);
  }

  private long tiles(Size size) {
    return (long) CudaLaunch.pieces(size.n(), rows) * panels(size);
  }

  /** Pieces of the outputs; none has outputs of two products. */
  private int panels(Size size) {
    return CudaLaunch.pieces(size.out(), outputs) + CudaLaunch.pieces(size.tail(), outputs);
  }

  /** The entry point that writes this dtype. */
  CudaKernel kernel(DType out) {
    return out == DType.I8 ? codes : floats;
  }

  /** Whether it reads 4-bit codes. */
  boolean readsFourBit() {
    return compareTo(WIDE64) < 0;
  }

  /** Whether what writes i8 can compute another product of the same inputs, in f32, with it. */
  boolean takesTail() {
    return codes.hasTail();
  }

  /** The entry point that writes i8 and convolves some columns of it, if there is one. */
  Optional<CudaKernel> convKernel() {
    return switch (this) {
      case FEW8 -> Optional.of(CudaKernel.LINEAR_FEW8_CONV_I4_I8_I8);
      case FEW16 -> Optional.of(CudaKernel.LINEAR_FEW16_CONV_I4_I8_I8);
      case NARROW32 -> Optional.of(CudaKernel.LINEAR_NARROW32_CONV_I4_I8_I8);
      case NARROW64 -> Optional.of(CudaKernel.LINEAR_NARROW64_CONV_I4_I8_I8);
      default -> Optional.empty();
    };
  }

  /** Whether blocks may share the inputs of a panel, so that the kernel wants to know how many. */
  boolean splits() {
    return resident > 0;
  }

  /** How many blocks share the inputs of a panel: as many as run at once and have a chunk each. */
  int splits(Size size, int multiprocessors) {
    int panels = panels(size);
    int chunks = CudaLaunch.pieces(size.in(), CudaTilePacking.CHUNK);
    int splits = 1;
    while (splits < CLUSTER
        && 2 * splits <= chunks
        && 2L * splits * panels <= (long) resident * multiprocessors) {
      splits *= 2;
    }
    return splits;
  }

  /** Blocks along x: those that share inputs are neighbours, those of a wide form take turns. */
  int across(Size size, int splits, int multiprocessors) {
    int panels = panels(size);
    if (splits()) {
      return CudaLaunch.pieces(panels * splits, CLUSTER) * CLUSTER;
    }
    return readsFourBit() ? panels : (int) Math.min(multiprocessors, tiles(size));
  }

  /** Blocks along y. */
  int down(Size size) {
    return readsFourBit() ? CudaLaunch.pieces(size.n(), rows) : 1;
  }
}
