package quamba.kernels.cuda;

import java.util.List;
import java.util.Optional;
import quamba.kernels.DType;
import quamba.kernels.Product;

/**
 * Launches matrix products: chooses by the order that the weight was packed in, the dtypes and, of
 * codes, the sizes.
 */
final class CudaLinear {
  /** Rows of one block, as in {@code linear.cu}. */
  static final int LINEAR_ROWS = 64;

  /** Rows of one block, as in {@code linear_codes.cu}. */
  static final int LINEAR_FEW_ROWS = 8;

  static final int LINEAR_CODES_ROWS = 64;

  private final CudaLaunch launch;
  private final CudaScratch scratch;
  private final int multiprocessors;

  CudaLinear(CudaLaunch launch, CudaScratch scratch, int multiprocessors) {
    this.launch = launch;
    this.scratch = scratch;
    this.multiprocessors = multiprocessors;
  }

  void run(CudaOpaque weight, CudaTensor x, CudaTensor out) {
    if (weight instanceof CudaCodes codes) {
      codes(x, List.of(new CudaProduct(codes, out)));
    } else if (weight.dtype() == DType.I8) {
      plainCodes((CudaPacked) weight, x, out);
    } else {
      CudaTensor elements = ((CudaPacked) weight).elements();
      launch.of(CudaKernel.LINEAR_F32_F32_F32).dense(elements).strided(x).values(out);
      over(x, out, LINEAR_ROWS);
    }
  }

  /** Products of the same x: where there is a kernel for it, in one launch. */
  void run(CudaTensor x, List<Product> products) {
    if (products.stream().allMatch(product -> product.linear().weight() instanceof CudaCodes)) {
      codes(x, products.stream().map(CudaProduct::of).toList());
    } else {
      for (Product product : products) {
        run((CudaOpaque) product.linear().weight(), x, (CudaTensor) product.out());
      }
    }
  }

  /**
   * As {@link #run(CudaTensor, List)} and then the convolution, if there is a kernel for all of it.
   *
   * @return whether there was
   */
  boolean runWith(CudaConvStep step, CudaTensor x, List<Product> products) {
    if (!products.stream().allMatch(product -> product.linear().weight() instanceof CudaCodes)) {
      return false;
    }
    List<CudaProduct> all = products.stream().map(CudaProduct::of).toList();
    if (!CudaScratch.isAligned(x)
        || (all.size() != 1 && !isOneLaunch(x, all))
        || !step.fits(all.get(0).out())) {
      return false;
    }
    CudaLinearForm.Size size = size(x, all);
    CudaLinearForm form = form(all.get(0), size);
    if (form.convKernel().isEmpty()) {
      return false;
    }
    run(form, splits(form, size, all), step, x, all);
    return true;
  }

  private void codes(CudaTensor x, List<CudaProduct> products) {
    int n = x.shape().dim(0);
    if (CudaScratch.isAligned(x)) {
      aligned(x, products);
      return;
    }
    int most = scratch.rows(x.shape().dim(1));
    for (int first = 0; first < n; first += most) {
      int from = first;
      int count = Math.min(most, n - first);
      aligned(
          scratch.copy(x.rows(first, count)),
          products.stream().map(product -> product.rows(from, count)).toList());
    }
  }

  private void aligned(CudaTensor x, List<CudaProduct> products) {
    if (products.size() == 1 || isOneLaunch(x, products)) {
      CudaLinearForm.Size size = size(x, products);
      CudaLinearForm form = form(products.get(0), size);
      run(form, splits(form, size, products), x, products);
    } else {
      products.forEach(product -> aligned(x, List.of(product)));
    }
  }

  /** Whether the second of these is a tail of the first. */
  private boolean isOneLaunch(CudaTensor x, List<CudaProduct> products) {
    if (products.size() != 2
        || products.get(0).out().dtype() != DType.I8
        || products.get(1).out().dtype() != DType.F32) {
      return false;
    }
    CudaLinearForm form = form(products.get(0), size(x, products));
    return form.takesTail() && (!form.readsFourBit() || products.get(1).weight().hasFourBit());
  }

  private int splits(CudaLinearForm form, CudaLinearForm.Size size, List<CudaProduct> products) {
    return form.splits(size, products.get(0).out().dtype(), multiprocessors);
  }

  private CudaLinearForm form(CudaProduct product, CudaLinearForm.Size size) {
    Optional<CudaLinearForm> fourBit =
        product.weight().hasFourBit()
            ? CudaLinearForm.ofFourBit(size, product.out().dtype(), multiprocessors)
            : Optional.empty();
    return fourBit.orElseGet(() -> CudaLinearForm.ofEightBit(size, multiprocessors));
  }

  /**
   * One form, whether or not it is the best; x is aligned, and weights have what it reads.
   *
   * @param products one, or one of i8 out and another of f32 out if the form takes a tail
   */
  void run(CudaLinearForm form, int splits, CudaTensor x, List<CudaProduct> products) {
    arguments(form.kernel(products.get(0).out().dtype(), splits), form, splits, x, products);
    over(form, splits, x, products);
  }

  /** As the last, of a form with a kernel that convolves, and with a step that fits. */
  void run(
      CudaLinearForm form,
      int splits,
      CudaConvStep step,
      CudaTensor x,
      List<CudaProduct> products) {
    arguments(form.convKernel().orElseThrow(), form, splits, x, products);
    step.arguments(launch, products.get(0).out());
    over(form, splits, x, products);
  }

  private void arguments(
      CudaKernel kernel,
      CudaLinearForm form,
      int splits,
      CudaTensor x,
      List<CudaProduct> products) {
    CudaLinearForm.Size size = size(x, products);
    CudaProduct first = products.get(0);
    launch
        .of(kernel)
        .shared(form.sharedBytes(kernel, size))
        .dense(elements(form, first))
        .dense(first.weight().rowScales())
        .strided(x)
        .dense(x.scale())
        .values(first.out());
    if (form.asksForSplits()) {
      launch.number(splits);
    }
    launch.number(size.n()).number(size.in()).number(size.out());
    if (products.size() > 1) {
      CudaProduct tail = products.get(1);
      launch
          .dense(elements(form, tail))
          .dense(tail.weight().rowScales())
          .strided(tail.out())
          .number(size.tail());
    } else if (kernel.hasTail()) {
      launch.nothing().nothing().nothing().number(0).number(0);
    }
  }

  private void over(CudaLinearForm form, int splits, CudaTensor x, List<CudaProduct> products) {
    CudaLinearForm.Size size = size(x, products);
    launch.over(form.across(size, splits, multiprocessors), form.down(size), 1);
  }

  private static CudaTensor elements(CudaLinearForm form, CudaProduct product) {
    return form.readsFourBit() ? product.weight().fourBit() : product.weight().eightBit();
  }

  private static CudaLinearForm.Size size(CudaTensor x, List<CudaProduct> products) {
    int tail = products.size() > 1 ? products.get(1).outDim() : 0;
    return new CudaLinearForm.Size(
        x.shape().dim(0), x.shape().dim(1), products.get(0).outDim(), tail);
  }

  private void plainCodes(CudaPacked weight, CudaTensor x, CudaTensor out) {
    boolean few = x.shape().dim(0) <= LINEAR_FEW_ROWS;
    launch
        .of(few ? few(out.dtype()) : many(out.dtype()))
        .dense(weight.elements())
        .dense(weight.rowScales())
        .strided(x)
        .dense(x.scale())
        .values(out);
    over(x, out, few ? LINEAR_FEW_ROWS : LINEAR_CODES_ROWS);
  }

  private static CudaKernel few(DType out) {
    return out == DType.I8 ? CudaKernel.LINEAR_FEW_I8_I8_I8 : CudaKernel.LINEAR_FEW_I8_I8_F32;
  }

  private static CudaKernel many(DType out) {
    return out == DType.I8 ? CudaKernel.LINEAR_I8_I8_I8 : CudaKernel.LINEAR_I8_I8_F32;
  }

  private void over(CudaTensor x, CudaTensor out, int rows) {
    int n = x.shape().dim(0);
    int outDim = out.shape().dim(1);
    launch
        .number(n)
        .number(x.shape().dim(1))
        .number(outDim)
        .over(CudaLaunch.pieces(outDim, CudaPacking.PANEL), CudaLaunch.pieces(n, rows), 1);
  }
}
