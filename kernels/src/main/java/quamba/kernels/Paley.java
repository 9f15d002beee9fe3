package quamba.kernels;

/**
 * Small Hadamard matrices by Paley's constructions: ±1 entries, {@code H Hᵀ = order · I}. With χ
 * the quadratic character of the field of q elements (1 for squares, −1 for others, 0 for zero):
 *
 * <ul>
 *   <li>I, order q + 1: column 0 is +1, the rest of row 0 is −1, the rest of the diagonal +1, and
 *       everything else −χ(j − i); not symmetric. q = 19 and q = 27 = 3³.
 *   <li>II, order 2 (q + 1): the symmetric conference matrix of q, whose first row and column are
 *       +1 and whose rest is χ(i − j), with ±[[+,+],[+,−]] for an entry ±1 and [[+,−],[−,−]] for
 *       the zeros of the diagonal; symmetric. q = 5.
 * </ul>
 *
 * These are the tables of spec section 5 for 12 and 20.
 */
final class Paley {
  private final int prime;
  private final int order; // of the field: prime^degree
  private final int[] reduction; // digits of x^degree as a polynomial of lower degree

  private Paley(int prime, int... reduction) {
    this.prime = prime;
    this.reduction = reduction;
    int size = 1;
    for (int digit = 0; digit < reduction.length; digit++) {
      size *= prime;
    }
    order = size;
  }

  /** The matrix (order, order) of order 12, 20 or 28. */
  static byte[][] matrix(int order) {
    return switch (order) {
      case 12 -> new Paley(5, 0).second();
      case 20 -> new Paley(19, 0).first();
      case 28 -> new Paley(3, 2, 1, 0).first(); // x³ = x + 2 has no root modulo 3: a field
      default -> throw new IllegalArgumentException("order must be 12, 20 or 28, found " + order);
    };
  }

  private byte[][] first() {
    int[] character = character();
    byte[][] matrix = new byte[order + 1][order + 1];
    for (int row = 0; row <= order; row++) {
      for (int column = 0; column <= order; column++) {
        if (column == 0 || row == column) {
          matrix[row][column] = 1;
        } else if (row == 0) {
          matrix[row][column] = -1;
        } else {
          matrix[row][column] = (byte) -character[minus(column - 1, row - 1)];
        }
      }
    }
    return matrix;
  }

  private byte[][] second() {
    int[] character = character();
    byte[][] matrix = new byte[2 * (order + 1)][2 * (order + 1)];
    for (int row = 0; row <= order; row++) {
      for (int column = 0; column <= order; column++) {
        boolean border = row == 0 || column == 0;
        int sign = border ? 1 : character[minus(row - 1, column - 1)];
        boolean diagonal = row == column;
        matrix[2 * row][2 * column] = (byte) (diagonal ? 1 : sign);
        matrix[2 * row][2 * column + 1] = (byte) (diagonal ? -1 : sign);
        matrix[2 * row + 1][2 * column] = (byte) (diagonal ? -1 : sign);
        matrix[2 * row + 1][2 * column + 1] = (byte) (diagonal ? -1 : -sign);
      }
    }
    return matrix;
  }

  /** χ of every element; elements are polynomials whose coefficients are the digits of an int. */
  private int[] character() {
    int[] character = new int[order];
    for (int element = 1; element < order; element++) {
      character[element] = -1;
    }
    for (int element = 1; element < order; element++) {
      character[times(element, element)] = 1;
    }
    return character;
  }

  private int minus(int a, int b) {
    int difference = 0;
    for (int place = 1; place < order; place *= prime) {
      difference += place * Math.floorMod(a / place % prime - b / place % prime, prime);
    }
    return difference;
  }

  private int times(int a, int b) {
    int degree = reduction.length;
    int[] product = new int[2 * degree - 1];
    for (int i = 0, left = a; i < degree; i++, left /= prime) {
      for (int j = 0, right = b; j < degree; j++, right /= prime) {
        product[i + j] += (left % prime) * (right % prime);
      }
    }
    for (int high = product.length - 1; high >= degree; high--) {
      for (int digit = 0; digit < degree; digit++) {
        product[high - degree + digit] += product[high] * reduction[digit];
      }
    }
    int value = 0;
    for (int digit = degree - 1; digit >= 0; digit--) {
      value = value * prime + product[digit] % prime;
    }
    return value;
  }
}
