package quamba.udf.benchmark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.HostFloats;
import quamba.kernels.HostTensor;
import quamba.udf.Backends;
import quamba.udf.calibration.Range;
import quamba.udf.calibration.Ranges;
import quamba.udf.calibration.SampleRun;
import quamba.udf.calibration.Site;
import quamba.udf.checkpoint.Checkpoint;
import quamba.udf.model.Capacity;
import quamba.udf.model.MambaModel;
import quamba.udf.model.ModelLoader;
import quamba.udf.model.Quantization.Rotation;
import quamba.udf.model.QuantizedNames;
import quamba.udf.model.QuantizedNames.Tap;
import quamba.udf.quantizer.Scheme;
import quamba.udf.recipe.Quantized;

/** Random models load, and what flows through them is healthy. */
final class SyntheticModelTest {
  private static SyntheticModel model(String shape, String scheme) {
    return new SyntheticModel(ModelShape.parse(shape), Scheme.parse(scheme), 1);
  }

  @ParameterizedTest
  @CsvSource({
    "mamba2-tiny, w8a8",
    "mamba2-tiny, w4a8",
    "mamba2-tiny, w4a16",
    "mamba1-tiny, w8a8",
    "mamba1-tiny, w4a8",
    "mamba1-tiny, w4a16"
  })
  void logitsAreFiniteAndVaried(String shape, String scheme) {
    SyntheticModel source = model(shape, scheme);
    assertEquals(Rotation.HADAMARD, ModelLoader.check(source).quantization().rotation());
    try (MambaModel opened =
        ModelLoader.open(source, Backends.open("cpu", 1), new Capacity(4, 64), 1003)) {
      EngineDriver driver = new EngineDriver(opened, 1);
      double[] span = driver.logits(driver.prompts(50)[0]);
      assertTrue(
          span[0] > -40 && span[0] < -4 && span[1] < 40 && span[1] > 4, span[0] + " " + span[1]);
      driver.choose(4, new EngineOptions().sampling("sampled"));
      driver.read(driver.prompts(3, 17, 32, 40));
      driver.decode(4);
      driver.decode(4);
      driver.finish();
      assertTrue(driver.distinct(4) > 1);
    }
  }

  /** Of every tap few values are beyond the range of codes, and some near its end. */
  @ParameterizedTest
  @ValueSource(strings = {"mamba2-tiny", "mamba1-tiny"})
  void scalesFitWhatFlows(String shape) {
    SyntheticModel floats = model(shape, "w4a16");
    SyntheticModel codes = model(shape, "w4a8");
    Set<Tap> taps = EnumSet.allOf(Tap.class);
    taps.remove(Tap.STATE);
    SplittableRandom random = new SplittableRandom(5);
    List<int[]> samples = List.of(random.ints(200, 0, 1003).toArray());
    Ranges ranges = SampleRun.ranges(floats, Backends.open("cpu", 1), 200, samples, taps);
    for (int layer = 0; layer < 2; layer++) {
      for (Tap tap : taps) {
        String name = QuantizedNames.scale(layer, tap);
        if (codes.names().contains(name)) {
          HostTensor tensor = codes.tensor(name);
          float[] scales = new float[(int) tensor.shape().elements()];
          HostFloats.read(tensor, 0, scales.length, scales, 0);
          Range range = ranges.of(new Site(layer, tap));
          double beyond = range.shareAbove(127.5f * scales[0]);
          assertTrue(beyond < 0.01, name + ": beyond the range " + beyond);
          assertTrue(range.mostOfAll() > 60 * scales[0], name + ": at most " + range.mostOfAll());
          double small = 1 - range.shareAbove(2 * scales[0]);
          assertTrue(small < 0.5, name + ": near zero " + small);
        }
      }
    }
  }

  @Test
  void tensorsAreTheSameEachTime() {
    String name = "backbone.layers.1.mixer.in_proj.weight";
    SyntheticModel first = model("mamba2-tiny", "w4a8");
    HostTensor tensor = first.tensor(name);
    first.tensor("lm_head.weight");
    assertEquals(tensor.data(), first.tensor(name).data());
    assertEquals(tensor.data(), model("mamba2-tiny", "w4a8").tensor(name).data());
  }

  @Test
  void codesAreSymmetric() {
    int[] counts = new int[256];
    for (byte code : RandomBytes.codes(100_003, 1)) {
      counts[code & 0xff]++;
    }
    assertEquals(0, counts[0x80]);
    for (int code = 1; code < 128; code++) {
      assertEquals(390, counts[code], 120, "code " + code);
      assertEquals(390, counts[256 - code], 120, "code " + -code);
    }
    int[] nibbles = new int[16];
    for (byte pair : RandomBytes.nibbles(100_003, 2)) {
      nibbles[pair & 0xf]++;
      nibbles[pair >> 4 & 0xf]++;
    }
    assertEquals(0, nibbles[8]);
    assertEquals(2 * 12_500, nibbles[0], 1000);
    for (int nibble = 1; nibble < 8; nibble++) {
      assertEquals(12_500, nibbles[nibble], 700);
      assertEquals(12_500, nibbles[16 - nibble], 700);
    }
  }

  @Test
  void foldersAreReadBack(@TempDir Path folder) {
    SyntheticModel source = model("mamba1-tiny", "w4a8");
    Path output = folder.resolve("model");
    new Quantized(source, List.of()).write(output, "{}");
    try (Checkpoint checkpoint = Checkpoint.open(output)) {
      assertEquals(source.names(), checkpoint.names());
      for (String name : source.names()) {
        assertEquals(source.tensor(name).data(), checkpoint.tensor(name).data(), name);
      }
      assertArrayEquals(
          source.config().getBytes(StandardCharsets.UTF_8),
          checkpoint.config().getBytes(StandardCharsets.UTF_8));
    }
  }
}
