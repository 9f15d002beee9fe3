package quamba.kernels.cuda;

import quamba.kernels.Product;

/**
 * A product of codes on a device with warpgroups.
 *
 * @param weight (out, in)
 * @param out (n, out) f32 or i8
 */
record CudaProduct(CudaCodes weight, CudaTensor out) {
  static CudaProduct of(Product product) {
    return new CudaProduct((CudaCodes) product.linear().weight(), (CudaTensor) product.out());
  }

  /** Of some rows of x. */
  CudaProduct rows(int first, int count) {
    return new CudaProduct(weight, out.rows(first, count));
  }

  int outDim() {
    return out.shape().dim(1);
  }
}
