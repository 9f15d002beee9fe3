package quamba.kernels.cuda;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import quamba.kernels.DType;

/**
 * The kernels that multiply codes on devices with warpgroups: which one is for which size, and over
 * how many blocks. All give the same bits.
 */
enum CudaLinearForm {
  FEW8(CudaKernel.LINEAR_FEW8_I4_I8_F32, CudaKernel.LINEAR_FEW8_I4_I8_I8, 8, 16),
  PAIR8(CudaKernel.LINEAR_PAIR8_I4_I8_F32, CudaKernel.LINEAR_PAIR8_I4_I8_I8, 8, 32),
  HELD8(CudaKernel.LINEAR_HELD8_I4_I8_F32, CudaKernel.LINEAR_FEW8_I4_I8_I8, 8, 16),
  FEW16(CudaKernel.LINEAR_FEW16_I4_I8_F32, CudaKernel.LINEAR_FEW16_I4_I8_I8, 16, 16),
  SLICED32(CudaKernel.LINEAR_SLICED32_I4_I8_F32, CudaKernel.LINEAR_SLICED32_I4_I8_I8, 32, 32),
  SLICED64(CudaKernel.LINEAR_SLICED64_I4_I8_F32, CudaKernel.LINEAR_SLICED64_I4_I8_I8, 64, 32),
  WIDE64(CudaKernel.LINEAR_WIDE64_I8_I8_F32, CudaKernel.LINEAR_WIDE64_I8_I8_I8, 64),
  WIDE96(CudaKernel.LINEAR_WIDE96_I8_I8_F32, CudaKernel.LINEAR_WIDE96_I8_I8_I8, 96),
  WIDE128(CudaKernel.LINEAR_WIDE128_I8_I8_F32, CudaKernel.LINEAR_WIDE128_I8_I8_I8, 128),
  WIDE160(CudaKernel.LINEAR_WIDE160_I8_I8_F32, CudaKernel.LINEAR_WIDE160_I8_I8_I8, 160),
  WIDE192(CudaKernel.LINEAR_WIDE192_I8_I8_F32, CudaKernel.LINEAR_WIDE192_I8_I8_I8, 192),
  WIDE256(CudaKernel.LINEAR_WIDE256_I8_I8_F32, CudaKernel.LINEAR_WIDE256_I8_I8_I8, 256);

  /**
   * Chunks of inputs that a warp of a form for few rows has room for at most: for 8 rows, of one
   * tile and of a pair, and for 16.
   */
  static final int MOST_SLOTS_8 = 6;

  static final int MOST_SLOTS_PAIR = 3;
  static final int MOST_SLOTS_16 = 4;

  /** Blocks of forms for 8 rows that a multiprocessor runs at once. */
  static final int BLOCKS_8 = 4;

  static final int BLOCKS_HELD = 2;

  /** Inputs from which on it pays to convert the weight before x is there, as timed on an H200. */
  private static final int HELD_INPUTS = 4096;

  /** Bytes of the weight in one of them; rows of x come to that. */
  private static final int SLOT_WEIGHT = CudaTilePacking.CODES_BYTES + CudaTilePacking.TILE * 2;

  /** Warps of a block of a form for few rows, which share the chunks. */
  private static final int FEW_WARPS = 8;

  /** Rows of x that a block of a wide form works on. */
  static final int WIDE_ROWS = 128;

  /** Rows times chunks of inputs that a block of a sliced form keeps. */
  static final int SLICE = 1024;

  /**
   * Outputs of the tail that a block of a wide form works on, if those of the form are not fewer.
   */
  static final int TAIL_COLUMNS = 128;

  /** Blocks that share the inputs of a tile: of a wide form, if any do, and of a sliced one. */
  static final int PAIR = 2;

  /** The same of a sliced form that writes f32, if it has not too many outputs. */
  static final int FOUR = 4;

  /** Tiles of outputs that the blocks that share them work on at a time, in a sliced form. */
  private static final int SLICED_TILES = 12;

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

  CudaLinearForm(CudaKernel floats, CudaKernel codes, int outputs) {
    this(floats, codes, WIDE_ROWS, outputs);
  }

  /**
   * One row of the table above.
   *
   * @param floats writes f32
   * @param codes writes i8
   * @param rows of x that a block works on
   * @param outputs that a block works on
   */
  CudaLinearForm(CudaKernel floats, CudaKernel codes, int rows, int outputs) {
    this.floats = floats;
    this.codes = codes;
    this.rows = rows;
    this.outputs = outputs;
  }

  /**
   * What multiplies 4-bit codes as they are, if there is something for so many rows and inputs. A
   * form for fewer rows takes turns where one for all has no room.
   */
  static Optional<CudaLinearForm> ofFourBit(Size size, DType out, int multiprocessors) {
    int n = size.n();
    if (n <= FEW8.rows) {
      return Optional.of(ofEight(size, out, multiprocessors));
    }
    if (n <= FEW16.rows) {
      return Optional.of(FEW16);
    }
    return Stream.of(SLICED64, SLICED32)
        .filter(form -> n <= SLICED64.rows && (form == SLICED32 || n > SLICED32.rows))
        .filter(form -> form.takes(size.in(), out))
        .findFirst();
  }

  /** Up to 8 rows: a block for each tile of outputs if they run at once, or else for two. */
  private static CudaLinearForm ofEight(Size size, DType out, int multiprocessors) {
    int tiles = FEW8.panels(size);
    if (out == DType.F32 && size.in() >= HELD_INPUTS && tiles <= BLOCKS_HELD * multiprocessors) {
      return HELD8;
    }
    return tiles > BLOCKS_8 * multiprocessors ? PAIR8 : FEW8;
  }

  /** What multiplies 8-bit codes: whose turns are the cheapest together. */
  static CudaLinearForm ofEightBit(Size size, int multiprocessors) {
    CudaLinearForm best = WIDE256;
    for (CudaLinearForm form : List.of(WIDE192, WIDE160, WIDE128, WIDE96, WIDE64)) {
      if (form.cost(size, multiprocessors) < best.cost(size, multiprocessors)) {
        best = form;
      }
    }
    return best;
  }

  private long cost(Size size, int multiprocessors) {
    return cost(size, wideSplits(size, multiprocessors), multiprocessors);
  }

  /**
   * About a fourth of the clocks that a wide form takes, as timed on an H200: for a chunk of inputs
   * of a tile the longer, the more outputs, but no less than x takes to come; for the outputs; and
   * for sums that blocks share.
   */
  private long cost(Size size, int splits, int multiprocessors) {
    long turns = (tiles(size) * splits + multiprocessors - 1) / multiprocessors;
    int chunks = CudaLaunch.pieces(CudaLaunch.pieces(size.in(), CudaTilePacking.CHUNK), splits);
    int chunk = Math.max(80 + outputs / 2, outputs + 20);
    int turn = chunks * chunk + 4 * outputs + 120 + 8 * outputs * (splits - 1);
    return turns * turn;
  }

  private long tiles(Size size) {
    return (long) CudaLaunch.pieces(size.n(), rows) * panels(size);
  }

  /** Pieces of the outputs; none has outputs of two products. */
  private int panels(Size size) {
    int ofTail = readsFourBit() ? outputs : Math.min(outputs, TAIL_COLUMNS);
    return CudaLaunch.pieces(size.out(), outputs) + CudaLaunch.pieces(size.tail(), ofTail);
  }

  /**
   * The entry point that writes this dtype.
   *
   * @param splits that there are for it
   */
  CudaKernel kernel(DType out, int splits) {
    if (splits == FOUR) {
      return this == SLICED32
          ? CudaKernel.LINEAR_SLICED32X4_I4_I8_F32
          : CudaKernel.LINEAR_SLICED64X4_I4_I8_F32;
    }
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
      case PAIR8 -> Optional.of(CudaKernel.LINEAR_PAIR8_CONV_I4_I8_I8);
      case FEW16 -> Optional.of(CudaKernel.LINEAR_FEW16_CONV_I4_I8_I8);
      case SLICED32 -> Optional.of(CudaKernel.LINEAR_SLICED32_CONV_I4_I8_I8);
      case SLICED64 -> Optional.of(CudaKernel.LINEAR_SLICED64_CONV_I4_I8_I8);
      default -> Optional.empty();
    };
  }

  /** Whether clusters of blocks share the inputs, each with a slice for all that it computes. */
  private boolean isSliced() {
    return this == SLICED32 || this == SLICED64;
  }

  /** Whether a sliced form has room for rows of so many inputs. */
  private boolean takes(int in, DType out) {
    return hasRoom(in, mostSplits(out));
  }

  private boolean hasRoom(int in, int splits) {
    return CudaLaunch.pieces(in, CudaTilePacking.CHUNK) <= SLICE / rows * splits;
  }

  /**
   * About thirtieths of a microsecond that a sliced form takes, as timed on an H200: for chunks of
   * inputs of the tiles at a time, and to exchange their sums.
   */
  private int slicedCost(Size size, int splits, int multiprocessors) {
    int tiles = CudaLaunch.pieces(size.out(), CudaTilePacking.TILE);
    int turns = CudaLaunch.pieces(tiles, clusters(splits, multiprocessors) * SLICED_TILES);
    int chunks = CudaLaunch.pieces(size.in(), CudaTilePacking.CHUNK);
    return turns * (22 * CudaLaunch.pieces(chunks, splits) + 25 + 4 * splits);
  }

  /**
   * Clusters that run at once, a block a multiprocessor: in a part of the device, of 14 or more of
   * them, clusters of 4 leave 2 over.
   */
  private static int clusters(int blocks, int multiprocessors) {
    return Math.max(1, (blocks == 2 ? multiprocessors : multiprocessors * 12 / 14) / blocks);
  }

  /** How many blocks share the inputs of a tile at least. */
  int leastSplits() {
    return isSliced() ? PAIR : 1;
  }

  /** And at most. */
  int mostSplits(DType out) {
    if (isSliced()) {
      return out == DType.I8 ? PAIR : FOUR;
    }
    return readsFourBit() ? 1 : PAIR;
  }

  /** Whether kernels ask how many, and are not each for one number. */
  boolean asksForSplits() {
    return !readsFourBit();
  }

  /** How many blocks share the inputs of a tile: more if they run at once and it pays. */
  int splits(Size size, DType out, int multiprocessors) {
    if (leastSplits() == mostSplits(out)) {
      return leastSplits();
    }
    if (isSliced()) {
      int pairs = slicedCost(size, PAIR, multiprocessors);
      return hasRoom(size.in(), PAIR) && pairs < slicedCost(size, FOUR, multiprocessors)
          ? PAIR
          : FOUR;
    }
    return wideSplits(size, multiprocessors);
  }

  private int wideSplits(Size size, int multiprocessors) {
    int chunks = CudaLaunch.pieces(size.in(), CudaTilePacking.CHUNK);
    boolean pays = cost(size, PAIR, multiprocessors) < cost(size, 1, multiprocessors);
    return pays && chunks >= PAIR && PAIR * tiles(size) <= multiprocessors ? PAIR : 1;
  }

  /** Blocks along x: those that share inputs are neighbours, those of some forms take turns. */
  int across(Size size, int splits, int multiprocessors) {
    int panels = panels(size);
    if (isSliced()) {
      return Math.min(panels, clusters(splits, multiprocessors)) * splits;
    }
    if (readsFourBit()) {
      return panels;
    }
    long pairs = splits == PAIR ? tiles(size) : (tiles(size) + PAIR - 1) / PAIR;
    return PAIR * (int) (splits == PAIR ? pairs : Math.min(multiprocessors / PAIR, pairs));
  }

  /**
   * Dynamic shared memory of a block of one of this form's kernels: room for the chunks and rows it
   * has.
   */
  int sharedBytes(CudaKernel kernel, Size size) {
    if (!readsFourBit() || isSliced()) {
      return kernel.sharedBytes();
    }
    int most =
        switch (this) {
          case FEW16 -> MOST_SLOTS_16;
          case PAIR8 -> MOST_SLOTS_PAIR;
          default -> MOST_SLOTS_8;
        };
    int chunks = CudaLaunch.pieces(size.in(), CudaTilePacking.CHUNK);
    int slots = FEW_WARPS * Math.min(most, CudaLaunch.pieces(chunks, FEW_WARPS));
    int weight = outputs / CudaTilePacking.TILE * SLOT_WEIGHT;
    return slots * (weight + Math.min(rows, size.n()) * CudaTilePacking.CHUNK);
  }

  /** Blocks along y. */
  int down(Size size) {
    return readsFourBit() ? CudaLaunch.pieces(size.n(), rows) : 1;
  }
}
