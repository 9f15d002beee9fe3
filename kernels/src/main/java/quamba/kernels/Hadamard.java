package quamba.kernels;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * The orthonormal Hadamard transform {@code y = H x / √n} of spec section 5. H is {@code B ⊗ S}: S
 * is the Sylvester (Walsh–Hadamard) matrix of order 2^k in natural order on the innermost index, B
 * one of the matrices of {@link Paley} on the outermost index, so that element {@code c · n/b + r}
 * is mixed over c by B and over r by S:
 *
 * <pre>
 *   n = 2^k       B = [1]
 *   n = 12 · 2^k  B = H12
 *   n = 40 · 2^k  B = H40 = [[H20, H20], [H20, −H20]]
 *   n = 28 · 2^k  B = H28
 *   n = 20        B = H20
 * </pre>
 *
 * H is symmetric for the first two, and otherwise not: {@link #applyTransposed} is the inverse of
 * all. Immutable and safe for concurrent use. Results are the same bits on every machine.
 */
public final class Hadamard {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();
  private static final VectorShuffle<Float> SWAP_1 = swap(1);
  private static final VectorShuffle<Float> SWAP_2 = swap(2);
  private static final VectorShuffle<Float> SWAP_4 = swap(4);
  private static final VectorShuffle<Float> SWAP_8 = swap(8);

  /** Columns of the small matrix's input that are mixed at once. */
  private static final int STRIP = 16;

  private final int size;
  private final int base; // 1, 12, 20 or 28
  private final int width; // of the Sylvester part that B = H12, H20, H28 is outside of
  private final byte[] matrix; // (base, base)
  private final byte[] transposed; // (base, base)
  private final double scale;

  private Hadamard(int size, int base) {
    this.size = size;
    this.base = base;
    width = (size % 40 == 0 && base == 20 ? size / 2 : size) / base;
    matrix = new byte[base * base];
    transposed = new byte[base * base];
    byte[][] small = base == 1 ? new byte[][] {{1}} : Paley.matrix(base);
    for (int row = 0; row < base; row++) {
      for (int column = 0; column < base; column++) {
        matrix[row * base + column] = small[row][column];
        transposed[column * base + row] = small[row][column];
      }
    }
    scale = 1 / Math.sqrt(size);
  }

  /**
   * The transform of {@code n} elements.
   *
   * @throws IllegalArgumentException if there is none for {@code n}
   */
  public static Hadamard of(int n) {
    if (isPowerOfTwo(n)) {
      return new Hadamard(n, 1);
    }
    if (n % 12 == 0 && isPowerOfTwo(n / 12)) {
      return new Hadamard(n, 12);
    }
    if (n == 20 || (n % 40 == 0 && isPowerOfTwo(n / 40))) {
      return new Hadamard(n, 20);
    }
    if (n % 28 == 0 && isPowerOfTwo(n / 28)) {
      return new Hadamard(n, 28);
    }
    throw new IllegalArgumentException(
        "no Hadamard transform of size %d: supported are 2^k, 12·2^k, 20·2^k, 28·2^k and 40·2^k"
            .formatted(n));
  }

  private static boolean isPowerOfTwo(int n) {
    return n > 0 && (n & (n - 1)) == 0;
  }

  /** n. */
  public int size() {
    return size;
  }

  /** {@code x ← H x / √n} for the elements from {@code offset} on. */
  public void apply(double[] x, int offset) {
    transform(x, offset, matrix);
  }

  /** {@code x ← Hᵀ x / √n}, which undoes {@link #apply(double[], int)}. */
  public void applyTransposed(double[] x, int offset) {
    transform(x, offset, transposed);
  }

  /** {@code x ← H x / √n} for the elements from {@code offset} on. */
  public void apply(float[] x, int offset) {
    transform(x, offset, matrix);
  }

  /** {@code x ← Hᵀ x / √n}, which undoes {@link #apply(float[], int)}. */
  public void applyTransposed(float[] x, int offset) {
    transform(x, offset, transposed);
  }

  private void transform(double[] x, int offset, byte[] signs) {
    int part = base * width;
    for (int at = offset; base > 1 && at < offset + size; at += part) {
      mix(x, at, signs);
    }
    for (int half = 1; half < width; half *= 2) {
      butterflies(x, offset, half);
    }
    if (part < size) {
      butterflies(x, offset, part);
    }
    for (int i = offset; i < offset + size; i++) {
      x[i] *= scale;
    }
  }

  private void butterflies(double[] x, int offset, int half) {
    for (int at = offset; at < offset + size; at += 2 * half) {
      for (int i = at; i < at + half; i++) {
        double a = x[i];
        double b = x[i + half];
        x[i] = a + b;
        x[i + half] = a - b;
      }
    }
  }

  private void mix(double[] x, int at, byte[] signs) {
    double[] in = new double[base];
    for (int column = at; column < at + width; column++) {
      for (int row = 0; row < base; row++) {
        in[row] = x[column + row * width];
      }
      for (int row = 0; row < base; row++) {
        double sum = 0;
        for (int k = 0; k < base; k++) {
          sum += signs[row * base + k] * in[k];
        }
        x[column + row * width] = sum;
      }
    }
  }

  private void transform(float[] x, int offset, byte[] signs) {
    int part = base * width;
    for (int at = offset; base > 1 && at < offset + size; at += part) {
      mix(x, at, signs);
    }
    boolean within = width >= LANES;
    if (within) {
      inLanes(x, offset);
    }
    for (int half = within ? LANES : 1; half < width; half *= 2) {
      butterflies(x, offset, half);
    }
    if (part < size) {
      butterflies(x, offset, part);
    }
    float factor = (float) scale;
    for (int i = offset; i < offset + size; i++) {
      x[i] *= factor;
    }
  }

  /** The levels whose pairs lie within a vector. */
  private void inLanes(float[] x, int offset) {
    FloatVector sign1 = signs(1);
    FloatVector sign2 = signs(2);
    FloatVector sign4 = signs(4);
    FloatVector sign8 = signs(8);
    for (int i = offset; i < offset + size; i += LANES) {
      FloatVector v = FloatVector.fromArray(SPECIES, x, i);
      if (LANES > 1) {
        v = v.fma(sign1, v.rearrange(SWAP_1));
      }
      if (LANES > 2) {
        v = v.fma(sign2, v.rearrange(SWAP_2));
      }
      if (LANES > 4) {
        v = v.fma(sign4, v.rearrange(SWAP_4));
      }
      if (LANES > 8) {
        v = v.fma(sign8, v.rearrange(SWAP_8));
      }
      v.intoArray(x, i);
    }
  }

  private void butterflies(float[] x, int offset, int half) {
    if (half % LANES != 0) {
      scalarButterflies(x, offset, half);
      return;
    }
    for (int at = offset; at < offset + size; at += 2 * half) {
      for (int i = at; i < at + half; i += LANES) {
        FloatVector a = FloatVector.fromArray(SPECIES, x, i);
        FloatVector b = FloatVector.fromArray(SPECIES, x, i + half);
        a.add(b).intoArray(x, i);
        a.sub(b).intoArray(x, i + half);
      }
    }
  }

  private void scalarButterflies(float[] x, int offset, int half) {
    for (int at = offset; at < offset + size; at += 2 * half) {
      for (int i = at; i < at + half; i++) {
        float a = x[i];
        float b = x[i + half];
        x[i] = a + b;
        x[i + half] = a - b;
      }
    }
  }

  private void mix(float[] x, int at, byte[] signs) {
    float[] in = new float[base * STRIP];
    float[] sum = new float[STRIP];
    for (int column = 0; column < width; column += STRIP) {
      int count = Math.min(STRIP, width - column);
      for (int row = 0; row < base; row++) {
        System.arraycopy(x, at + row * width + column, in, row * STRIP, count);
      }
      for (int row = 0; row < base; row++) {
        mixRow(in, signs, row * base, sum);
        System.arraycopy(sum, 0, x, at + row * width + column, count);
      }
    }
  }

  /** One row of the small matrix times STRIP columns, terms in the order of its elements. */
  private void mixRow(float[] in, byte[] signs, int row, float[] sum) {
    for (int from = 0; from < STRIP; from += LANES) {
      FloatVector total = FloatVector.zero(SPECIES);
      for (int k = 0; k < base; k++) {
        FloatVector term = FloatVector.fromArray(SPECIES, in, k * STRIP + from);
        total = signs[row + k] > 0 ? total.add(term) : total.sub(term);
      }
      total.intoArray(sum, from);
    }
  }

  private static VectorShuffle<Float> swap(int distance) {
    return VectorShuffle.fromOp(SPECIES, lane -> (lane ^ distance) % LANES);
  }

  /** +1 where a pair of lanes at {@code distance} has its first, −1 where its second. */
  private static FloatVector signs(int distance) {
    float[] signs = new float[LANES];
    for (int lane = 0; lane < LANES; lane++) {
      signs[lane] = (lane & distance) == 0 ? 1 : -1;
    }
    return FloatVector.fromArray(SPECIES, signs, 0);
  }
}
