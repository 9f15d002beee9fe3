package quamba.udf.benchmark;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quamba.udf.model.ModelConfig;
import quamba.udf.model.StateFormat;
import quamba.udf.quantizer.Scheme;

/** The formulas against figures that were worked out by hand for 4.3 TB/s and 1.4 POPS. */
final class FloorsTest {
  private static final Floors.Rates RATES = new Floors.Rates(4.3e12, 1.4e15, 0.79e15);

  private static ModelConfig config(String shape) {
    return ModelShape.parse(shape).parsed(Scheme.W4A8);
  }

  @ParameterizedTest
  @CsvSource({
    "mamba2-130m, 512, 0.676, 0.754",
    "mamba2-1.3b, 64, 0.599, 0.599",
    "mamba2-2.7b, 1, 0.337, 0.337",
    "mamba2-2.7b, 256, 3.24, 3.90",
    "mamba2-2.7b, 512, 6.16, 7.81",
    "mamba2-8b, 512, 9.12, 13.51",
    "mamba2-8b, 1024, 17.37, 27.02",
    "mamba1-2.8b, 64, 0.510, 0.510",
    "mamba1-2.8b, 512, 2.02, 3.42"
  })
  void statesInInt8(String shape, int rows, double overlap, double serial) {
    Floors floors = Floors.of(config(shape), Scheme.W4A8, StateFormat.I8);
    assertEquals(overlap, 1e3 * floors.overlap(rows, RATES), 0.01 * overlap);
    assertEquals(serial, 1e3 * floors.serial(rows, RATES), 0.01 * serial);
  }

  @ParameterizedTest
  @CsvSource({"mamba2-2.7b, 512, 10.48", "mamba2-8b, 256, 7.99", "mamba2-370m, 64, 0.426"})
  void statesInInt8WrittenEachToken(String shape, int rows, double overlap) {
    ModelConfig config = config(shape);
    Floors floors = Floors.of(config, Scheme.W4A8, StateFormat.I8).classic(config);
    assertEquals(overlap, 1e3 * floors.overlap(rows, RATES), 0.01 * overlap);
  }

  @ParameterizedTest
  @CsvSource({"mamba2-2.7b, 512, 40.44", "mamba2-8b, 16, 2.62", "mamba1-2.8b, 512, 5.48"})
  void statesInFloats(String shape, int rows, double overlap) {
    Floors floors = Floors.of(config(shape), Scheme.W4A8, StateFormat.F32);
    assertEquals(overlap, 1e3 * floors.overlap(rows, RATES), 0.01 * overlap);
  }

  @ParameterizedTest
  @CsvSource({"mamba2-2.7b, 0.649", "mamba2-370m, 0.092"})
  void weightsOfEightBits(String shape, double overlap) {
    ModelConfig config = config(shape);
    Floors floors = Floors.of(config, Scheme.W8A8, StateFormat.I8).classic(config);
    assertEquals(overlap, 1e3 * floors.overlap(1, RATES), 0.01 * overlap);
  }

  @Test
  void aTokenOfAPromptIsAllMatricesButTheHead() {
    Floors floors = Floors.of(config("mamba2-2.7b"), Scheme.W4A8, StateFormat.I8);
    assertEquals(5.14e9 / 1.4e15, floors.prefill(1, 0, RATES), 0.01e9 / 1.4e15);
    assertEquals(5.40e9 / 1.4e15, floors.prefill(1, 1, RATES), 0.01e9 / 1.4e15);
    Floors eight = Floors.of(config("mamba2-8b"), Scheme.W4A8, StateFormat.I8);
    assertEquals(12.27e9 / 1.4e15, eight.prefill(1, 0, RATES), 0.01e9 / 1.4e15);
  }
}
