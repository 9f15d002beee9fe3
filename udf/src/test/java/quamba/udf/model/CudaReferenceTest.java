package quamba.udf.model;

import quamba.kernels.cuda.NeedsCuda;

@NeedsCuda
class CudaReferenceTest extends ReferenceContract {
  @Override
  String device() {
    return "cuda";
  }
}
