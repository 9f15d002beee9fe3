package quamba.udf.benchmark;

class CpuTextsTest extends TextsContract {
  @Override
  String device() {
    return "cpu";
  }

  @Override
  ModelShape shape() {
    return ModelShape.parse("mamba2-tiny");
  }
}
