package quamba.udf.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class PickleTest {
  private static final int PROGRAMS = 50_000;

  private static final Set<PickleOpcode> UNDERSTOOD =
      EnumSet.of(
          PickleOpcode.PROTO,
          PickleOpcode.STOP,
          PickleOpcode.MARK,
          PickleOpcode.NONE,
          PickleOpcode.NEWTRUE,
          PickleOpcode.NEWFALSE,
          PickleOpcode.BININT,
          PickleOpcode.BININT1,
          PickleOpcode.BININT2,
          PickleOpcode.LONG1,
          PickleOpcode.BINFLOAT,
          PickleOpcode.BINUNICODE,
          PickleOpcode.EMPTY_TUPLE,
          PickleOpcode.TUPLE,
          PickleOpcode.TUPLE1,
          PickleOpcode.TUPLE2,
          PickleOpcode.TUPLE3,
          PickleOpcode.EMPTY_LIST,
          PickleOpcode.APPEND,
          PickleOpcode.APPENDS,
          PickleOpcode.EMPTY_DICT,
          PickleOpcode.SETITEM,
          PickleOpcode.SETITEMS,
          PickleOpcode.BUILD,
          PickleOpcode.BINPUT,
          PickleOpcode.LONG_BINPUT,
          PickleOpcode.BINGET,
          PickleOpcode.LONG_BINGET,
          PickleOpcode.GLOBAL,
          PickleOpcode.BINPERSID,
          PickleOpcode.REDUCE);

  @Test
  void everyOtherOpcodeIsRefusedByName() {
    int refused = 0;
    for (int code = 0; code < 256; code++) {
      TorchFixture fixture = new TorchFixture().op("}").op(code).op("\0\0\0\0\0\0\0\0\n\n.");
      PickleOpcode opcode = PickleOpcode.of(code).orElse(null);
      if (opcode == null) {
        refused(fixture, "byte 3: expected an opcode, found byte 0x%02X".formatted(code));
      } else if (!UNDERSTOOD.contains(opcode)) {
        refused(fixture, "expected only opcodes that build tensors, found " + opcode);
        refused++;
      }
    }
    assertEquals(PickleOpcode.values().length - UNDERSTOOD.size(), refused);
  }

  @Test
  void valuesAreThoseOfPython() {
    assertEquals(255L, read(new TorchFixture().op('K', 255).op(".")));
    assertEquals(65_535L, read(new TorchFixture().op('M', 255, 255).op(".")));
    assertEquals(-2L, read(new TorchFixture().integer(-2).op(".")));
    assertEquals(0L, read(new TorchFixture().op(0x8A, 0).op(".")));
    assertEquals(-1L, read(new TorchFixture().op(0x8A, 1, 255).op(".")));
    assertEquals(255L, read(new TorchFixture().op(0x8A, 2, 255, 0).op(".")));
    assertEquals(Long.MIN_VALUE, read(new TorchFixture().integer(Long.MIN_VALUE).op(".")));
    assertEquals(1.5, read(new TorchFixture().op('G', 0x3F, 0xF8, 0, 0, 0, 0, 0, 0).op(".")));
    assertEquals("é\uD83D\uDE00", read(new TorchFixture().text("é\uD83D\uDE00").op(".")));
    assertEquals(List.of(true, false), read(new TorchFixture().op("](").op(0x88, 0x89).op("e.")));
    TorchFixture remembered = new TorchFixture().op("}").text("a").op('r', 9, 0, 0, 0x80);
    assertEquals(Map.of("a", List.of(List.of())), read(remembered.op("]").op('q', 3).op("]as.")));
    assertEquals(
        Map.of("a", "a"),
        read(new TorchFixture().op("}").text("a").op('q', 1).op('h', 1).op("s.")));
  }

  @Test
  void damageIsRefusedByWhatIsWrong() {
    refused(new TorchFixture().op(0x80, 4), "expected a pickle of protocol 2, found 4");
    refused(new TorchFixture(), "byte 2: expected more, found the end");
    refused(new TorchFixture().op("."), "STOP: expected one value and the end, found 0 values");
    refused(new TorchFixture().op("}.}"), "found 1 values, 0 marks, 1 bytes more");
    refused(new TorchFixture().op("}(."), "found 1 values, 1 marks");
    refused(new TorchFixture().op("}s"), "expected 2 values on the stack, found 1");
    refused(new TorchFixture().op("N(N").op(0x86), "expected 2 values on the stack, found 1");
    refused(new TorchFixture().op("t"), "expected a mark, found none");
    refused(new TorchFixture().op('q', 1), "expected a value on the stack, found none");
    refused(new TorchFixture().op('h', 1), "expected a remembered value 1, found none");
    refused(new TorchFixture().op('X', 255, 255, 255, 255), "at most 4096 bytes, found 4294967295");
    refused(new TorchFixture().op('X', 0, 16, 0, 0), "expected 4096 bytes, found 0");
    refused(new TorchFixture().op('X', 1, 0, 0, 0, 0xFF), "expected UTF-8");
    refused(new TorchFixture().op(0x8A, 9), "LONG1: expected at most 8 bytes, found 9");
    refused(new TorchFixture().op("}(Nu"), "expected a dictionary and pairs for it");
    refused(new TorchFixture().op("NNa"), "expected a list to append to, found None");
    refused(new TorchFixture().op("NNb"), "BUILD: expected a dictionary and its attributes");
    refused(new TorchFixture().op("N)R"), "expected a call of a function with a tuple");
    refused(new TorchFixture().global("torch FloatStorage").op(")R"), "found one of a storage ty");
    refused(new TorchFixture().global("os system"), "found 'os system'");
    refused(new TorchFixture().global("torch.storage UntypedStorage"), "UntypedStorage'");
    refused(new TorchFixture().op("NQ"), "persistent id: expected a tuple, found None");
    refused(new TorchFixture().tuple(1).op("Q"), "persistent id: expected 5, found 1");
    refused(new TorchFixture().tuple(1, 2, 3, 4, 5).op("Q"), "expected text, found an integer");
    refused(
        new TorchFixture().global("torch._utils _rebuild_tensor_v2").op(")R"),
        "arguments of _rebuild_tensor_v2: expected 6, found 0");
    refused(
        new TorchFixture()
            .global("torch._utils _rebuild_tensor_v2")
            .tuple(1, 2, 3, 4, 5, 6)
            .op("R"),
        "shape: expected a tuple, found an integer");
    refused(
        new TorchFixture().global("collections OrderedDict").tuple(1).op("R"),
        "arguments of OrderedDict: expected 0, found 1");
    refused(new TorchFixture().op(")".repeat(2_000_001)), "expected at most 2000000 opcodes");
  }

  @Test
  void randomProgramsEndInAValueOrARefusal() {
    Random random = new Random(20_250_607);
    String likely = "()}]NQRbaetsuuqhqhKKKX.";
    int values = 0;
    for (int program = 0; program < PROGRAMS; program++) {
      TorchFixture fixture = new TorchFixture();
      for (int length = random.nextInt(30); length >= 0; length--) {
        switch (random.nextInt(6)) {
          case 0 -> fixture.text("k" + random.nextInt(3));
          case 1 -> fixture.global("collections OrderedDict").op(")R");
          case 2 -> fixture.vector("FloatStorage", "0", random.nextInt(4));
          default -> fixture.op(likely.charAt(random.nextInt(likely.length())));
        }
      }
      try {
        read(fixture.op("."));
        values++;
      } catch (InvalidCheckpointException e) {
        assertTrue(e.getMessage().startsWith("data.pkl: byte "), e.getMessage());
      }
    }
    assertTrue(values > 0, "no program was valid");
  }

  private static Object read(TorchFixture fixture) {
    return Pickle.read("data.pkl", ByteBuffer.wrap(fixture.pickle()));
  }

  private static void refused(TorchFixture fixture, String reason) {
    InvalidCheckpointException refusal =
        assertThrows(InvalidCheckpointException.class, () -> read(fixture));
    assertTrue(refusal.getMessage().contains(reason), refusal.getMessage());
  }
}
