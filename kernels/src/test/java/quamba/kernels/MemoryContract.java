package quamba.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Behaviour of upload, pack, allocate, write, read and of views. */
interface MemoryContract {
  Probe probe();

  @Test
  default void allocatedTensorsAreZero() {
    assertArrayEquals(new float[15], probe().floats(probe().zeros(3, 5)));
    Tensor bytes = probe().backend().allocate(DType.I8, Shape.of(3, 5));
    assertArrayEquals(new byte[15], probe().bytes(bytes));
    Tensor ints = probe().backend().allocate(DType.I32, Shape.of(15));
    assertArrayEquals(new int[15], probe().ints(ints));
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F32", "I32", "I8"})
  default void writtenBytesAreReadBackAndTheBuffersStayWhereTheyAre(DType dtype) {
    Shape shape = Shape.of(3, 7);
    ByteBuffer data = ByteBuffer.allocate(5 + 21 * dtype.bytes()).position(5);
    for (int i = 5; i < data.limit(); i++) {
      data.put(i, (byte) (i * 3 % 127)); // small exponents: no NaN that could be made quiet
    }
    Tensor tensor = probe().backend().allocate(dtype, shape);
    probe().backend().write(tensor, data);
    assertEquals(5, data.position());
    ByteBuffer copy = ByteBuffer.allocateDirect(21 * dtype.bytes());
    probe().backend().read(tensor, copy);
    assertEquals(0, copy.position());
    assertEquals(data, copy);
  }

  @Test
  default void uploadWidensEveryF16Value() {
    ByteBuffer data = ByteBuffer.allocate(2 << 16).order(ByteOrder.LITTLE_ENDIAN);
    for (int bits = 0; bits < 1 << 16; bits++) {
      data.putShort((short) bits);
    }
    HostTensor host = new HostTensor(DType.F16, Shape.of(1 << 16), data.flip());
    float[] actual = probe().floats(probe().backend().upload(host));
    for (int bits = 0; bits < 1 << 16; bits++) {
      assertEquals((float) Oracle.half(bits), actual[bits], Integer.toHexString(bits));
    }
  }

  @Test
  default void uploadWidensBf16AndNarrowsF64() {
    ByteBuffer brain = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
    brain.putShort((short) 0x3f80).putShort((short) 0xc049).putShort((short) 0x0001);
    brain.putShort((short) 0xff80);
    HostTensor host = new HostTensor(DType.BF16, Shape.of(4), brain.flip());
    float[] expected = {1, -3.140625f, 0x1p-133f, Float.NEGATIVE_INFINITY};
    assertArrayEquals(expected, probe().floats(probe().backend().upload(host)));
    ByteBuffer wide = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN);
    wide.putDouble(0.1).putDouble(-1e300);
    host = new HostTensor(DType.F64, Shape.of(2), wide.flip());
    expected = new float[] {0.1f, Float.NEGATIVE_INFINITY};
    assertArrayEquals(expected, probe().floats(probe().backend().upload(host)));
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F64", "F32", "F16", "BF16"})
  default void packKeepsEveryElementOfAnyFloatType(DType dtype) {
    int out = 37;
    int in = 5;
    ByteBuffer data = ByteBuffer.allocate(out * in * dtype.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    float[] expected = new float[out * in];
    for (int i = 0; i < out * in; i++) {
      expected[i] = i - 64; // an integer below 256 is exact in every type
      switch (dtype) {
        case F64 -> data.putDouble(expected[i]);
        case F32 -> data.putFloat(expected[i]);
        case F16 -> data.putShort(half(i - 64));
        default -> data.putShort((short) (Float.floatToIntBits(expected[i]) >>> 16));
      }
    }
    Tensor table = probe().backend().pack(new HostTensor(dtype, Shape.of(out, in), data.flip()));
    int[] ids = new int[out];
    for (int id = 0; id < out; id++) {
      ids[id] = id;
    }
    Tensor rows = probe().zeros(out, in);
    probe().backend().embed(probe().ints(ids), table, rows);
    assertArrayEquals(expected, probe().floats(rows));
  }

  @Test
  default void viewsReadAndWriteTheirPart() {
    Tensor tensor = probe().floats(new float[] {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 4, 3);
    Tensor rows = tensor.rows(1, 2);
    assertEquals(Shape.of(2, 3), rows.shape());
    assertArrayEquals(new float[] {3, 4, 5, 6, 7, 8}, probe().floats(rows));
    Tensor columns = rows.columns(1, 2);
    assertEquals(Shape.of(2, 2), columns.shape());
    assertArrayEquals(new float[] {4, 5, 7, 8}, probe().floats(columns));
    ByteBuffer data = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN);
    data.putFloat(-1).putFloat(-2).putFloat(-3).putFloat(-4);
    probe().backend().write(columns, data.flip());
    float[] expected = {0, 1, 2, 3, -1, -2, 6, -3, -4, 9, 10, 11};
    assertArrayEquals(expected, probe().floats(tensor));
    assertEquals(0, tensor.rows(4, 0).shape().dim(0));
    assertTrue(probe().floats(tensor.columns(0, 0)).length == 0);
  }

  @Test
  default void aReadbackHoldsWhatWasThereWhenItBegan() {
    Tensor tensor = probe().ints(1, 2, 3);
    Readback first = probe().backend().readback(tensor.rows(1, 2));
    Readback second = probe().backend().readback(tensor.rows(1, 2));
    first.begin();
    probe().write(tensor, new int[] {4, 5, 6});
    second.begin();
    probe().write(tensor, new int[] {7, 8, 9});
    ByteBuffer target = ByteBuffer.allocate(12).order(ByteOrder.LITTLE_ENDIAN).position(4);
    first.await(target);
    assertTrue(first.isDone());
    assertEquals(4, target.position());
    assertArrayEquals(
        new int[] {0, 2, 3}, new int[] {target.getInt(0), target.getInt(4), target.getInt(8)});
    second.await(target.position(8));
    assertArrayEquals(
        new int[] {0, 2, 5}, new int[] {target.getInt(0), target.getInt(4), target.getInt(8)});
    first.begin();
    first.await(target.position(4));
    assertArrayEquals(
        new int[] {0, 8, 9}, new int[] {target.getInt(0), target.getInt(4), target.getInt(8)});
  }

  /** The bits of a small integer in binary16. */
  private static short half(int value) {
    for (int bits = 0; bits < 1 << 16; bits++) {
      if (Oracle.half(bits) == value) {
        return (short) bits;
      }
    }
    throw new IllegalArgumentException("no binary16 number " + value);
  }
}
