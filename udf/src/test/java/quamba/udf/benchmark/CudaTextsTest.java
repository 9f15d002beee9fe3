package quamba.udf.benchmark;

import quamba.kernels.cuda.NeedsCuda;

/** In widths that have kernels of their own for each number of rows. */
@NeedsCuda
class CudaTextsTest extends TextsContract {
  @Override
  String device() {
    return "cuda";
  }

  @Override
  ModelShape shape() {
    return ModelShape.parse("mamba2-2.7b").withLayers(3);
  }
}
