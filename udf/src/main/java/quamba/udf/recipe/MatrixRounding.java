package quamba.udf.recipe;

import java.util.stream.IntStream;
import quamba.kernels.QuantizedWeight;
import quamba.udf.quantizer.Gptq;
import quamba.udf.quantizer.Matrix;
import quamba.udf.quantizer.ScaleChoice;
import quamba.udf.quantizer.WeightFormat;
import quamba.udf.quantizer.WeightRounding;

/**
 * Rounds matrices, with the inputs that they meet in mind where those are known.
 *
 * @param threads that work; the result does not depend on them
 */
record MatrixRounding(int threads) {
  /**
   * A rounded matrix, and what that does to outputs.
   *
   * @param weight codes and scales
   * @param error of the outputs, squared, in units of the squared outputs
   */
  record Rounded(QuantizedWeight weight, double error) {}

  /** Rounds a matrix for inputs of this Hessian. */
  Rounded forInputs(String name, Matrix weight, WeightFormat format, double[] hessian) {
    Gptq gptq = new Gptq(format, ScaleChoice.SEARCH, Gptq.Options.standard(threads));
    Gptq.Result result = gptq.quantize(name, weight, hessian);
    double energy = energy(weight, hessian);
    return new Rounded(result.weight(), energy == 0 ? 0 : result.loss() / energy);
  }

  /** Rounds a matrix for inputs of which nothing is known. */
  Rounded alone(Matrix weight, WeightFormat format) {
    QuantizedWeight rounded = new WeightRounding(format, ScaleChoice.SEARCH, threads).round(weight);
    QuantizedWeight used = format.effective(rounded);
    float[] found = new float[weight.in()];
    double error = 0;
    double energy = 0;
    for (int row = 0, at = 0; row < weight.out(); row++) {
      used.read(row, found, 0);
      for (int column = 0; column < found.length; column++, at++) {
        double difference = weight.values()[at] - found[column];
        error += difference * difference;
        energy += (double) weight.values()[at] * weight.values()[at];
      }
    }
    return new Rounded(rounded, energy == 0 ? 0 : error / energy);
  }

  /** {@code tr(W H Wᵀ)}. */
  private static double energy(Matrix weight, double[] hessian) {
    double[] rows =
        IntStream.range(0, weight.out())
            .parallel()
            .mapToDouble(row -> energy(weight, row, hessian))
            .toArray();
    double sum = 0;
    for (double row : rows) {
      sum += row;
    }
    return sum;
  }

  private static double energy(Matrix weight, int row, double[] hessian) {
    int in = weight.in();
    double[] product = new double[in];
    for (int i = 0; i < in; i++) {
      double factor = weight.values()[row * in + i];
      for (int j = 0; j < in; j++) {
        product[j] += factor * hessian[i * in + j];
      }
    }
    double sum = 0;
    for (int j = 0; j < in; j++) {
      sum += product[j] * weight.values()[row * in + j];
    }
    return sum;
  }
}
