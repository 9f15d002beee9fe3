package quamba.udf.model;

class CpuReferenceTest extends ReferenceContract {
  @Override
  String device() {
    return "cpu";
  }
}
