package quamba.udf.model;

import java.util.ArrayList;
import java.util.List;
import quamba.kernels.Backend;
import quamba.kernels.DType;
import quamba.kernels.Linear;
import quamba.kernels.Product;
import quamba.kernels.Tensor;

/**
 * A matrix whose outputs may differ in precision: a product for each run of columns that have the
 * same, so mostly one.
 */
final class Projection {
  /** Some of the matrix's rows and where their outputs go. */
  private record Part(Linear linear, Flow out) {}

  private final List<Part> parts;

  private Projection(List<Part> parts) {
    this.parts = parts;
  }

  /**
   * Loads the matrix {@code name}.
   *
   * @param input dtype of what it multiplies
   * @param outputs columns of a buffer for all of its rows, in order
   */
  static Projection load(
      Backend backend, Weights weights, String name, DType input, Columns... outputs) {
    List<Part> parts = new ArrayList<>();
    int row = 0;
    for (Columns run : runs(outputs)) {
      Linear linear = new Linear(weights.matrix(name, row, run.count(), input));
      parts.add(new Part(linear, Flow.of(backend, run)));
      row += run.count();
    }
    return new Projection(List.copyOf(parts));
  }

  private static List<Columns> runs(Columns... outputs) {
    List<Columns> runs = new ArrayList<>();
    for (Columns next : outputs) {
      int last = runs.size() - 1;
      if (last >= 0 && runs.get(last).dtype() == next.dtype()) {
        runs.set(last, runs.get(last).and(next));
      } else {
        runs.add(next);
      }
    }
    return runs;
  }

  void run(Backend backend, Tensor x, Activations.Buffer out) {
    backend.linears(x, products(out));
  }

  /** Its products, into a buffer for all of its rows. */
  List<Product> products(Activations.Buffer out) {
    return parts.stream().map(part -> new Product(part.linear(), part.out().in(out))).toList();
  }
}
