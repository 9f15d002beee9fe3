package quamba.udf.quantizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import quamba.kernels.DType;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;
import quamba.udf.checkpoint.TensorSource;

class FloatWeightsTest {
  private record Source(Map<String, HostTensor> tensors) implements TensorSource {
    @Override
    public String config() {
      return "{}";
    }

    @Override
    public Set<String> names() {
      return tensors.keySet();
    }

    @Override
    public HostTensor tensor(String name) {
      return tensors.get(name);
    }
  }

  private static HostTensor shorts(DType dtype, int... bits) {
    ByteBuffer data = ByteBuffer.allocate(bits.length * 2).order(ByteOrder.LITTLE_ENDIAN);
    for (int element : bits) {
      data.putShort((short) element);
    }
    return new HostTensor(dtype, Shape.of(bits.length), data.flip());
  }

  @Test
  void everyFloatingTypeIsRead() {
    Source source =
        new Source(
            Map.of(
                "half", shorts(DType.F16, 0x3c00, 0xc100),
                "brain", shorts(DType.BF16, 0x3f80, 0xc020),
                "single", HostTensor.of(Shape.of(2), 1, -2.5f)));
    FloatWeights weights = FloatWeights.of(source);
    for (String name : source.names()) {
      assertArrayEquals(new float[] {1, -2.5f}, weights.values(name), name);
    }
  }

  @Test
  void aTiedHeadIsTheEmbedding() {
    HostTensor table = HostTensor.of(Shape.of(2), 1, 2);
    HostTensor own = HostTensor.of(Shape.of(2), 3, 4);
    FloatWeights tied = FloatWeights.of(new Source(Map.of("backbone.embedding.weight", table)));
    FloatWeights untied =
        FloatWeights.of(
            new Source(Map.of("backbone.embedding.weight", table, "lm_head.weight", own)));
    assertArrayEquals(new float[] {1, 2}, tied.values("lm_head.weight"));
    assertArrayEquals(new float[] {3, 4}, untied.values("lm_head.weight"));
  }

  @Test
  void quantizedTensorsAreRefusedByName() {
    HostTensor codes = new HostTensor(DType.I8, Shape.of(2), ByteBuffer.allocate(2));
    FloatWeights weights = FloatWeights.of(new Source(Map.of("x", codes)));
    String message =
        assertThrows(IllegalArgumentException.class, () -> weights.values("x")).getMessage();
    assertTrue(message.startsWith("tensor x: dtype must be F32, F16 or BF16, found I8"), message);
  }
}
