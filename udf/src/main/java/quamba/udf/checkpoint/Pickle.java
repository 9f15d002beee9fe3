package quamba.udf.checkpoint;

import static java.lang.Byte.toUnsignedInt;

import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import quamba.udf.checkpoint.TorchObjects.None;
import quamba.udf.checkpoint.TorchObjects.Tuple;

/**
 * Reads a Python pickle of protocol 2 as data. It is a program for a stack machine; the
 * instructions that {@code torch.save} uses for a dictionary of tensors are understood, all others
 * are refused by name. Names are looked up in {@link TorchObjects}; nothing is loaded or run.
 * Instructions: Python's {@code pickletools.py}.
 *
 * <p>Values: String, Long, Double, Boolean, {@link None}, {@link Tuple}, List, Map with String
 * keys, and what {@link TorchObjects} makes.
 */
final class Pickle {
  /** Bounds the memory: each instruction makes at most one small object. */
  private static final int INSTRUCTIONS_MAX = 2_000_000;

  private static final int TEXT_BYTES_MAX = 4096;
  private static final int PROTOCOL = 2;

  private final ByteBuffer code;
  private final List<Object> stack = new ArrayList<>();
  private final Deque<Integer> marks = new ArrayDeque<>();
  private final Map<Long, Object> memo = new HashMap<>();

  private Pickle(ByteBuffer code) {
    this.code = code.slice().order(ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * The value that a pickle describes.
   *
   * @param where the beginning of every message
   * @throws InvalidCheckpointException if the pickle is damaged, or does what a dictionary of
   *     tensors has no need of
   */
  static Object read(String where, ByteBuffer code) {
    Pickle pickle = new Pickle(code);
    int begin = 0;
    try {
      for (int count = 0; count < INSTRUCTIONS_MAX; count++) {
        begin = pickle.code.position();
        int next = toUnsignedInt(pickle.code.get());
        PickleOpcode opcode =
            PickleOpcode.of(next)
                .orElseThrow(
                    () -> refused("expected an opcode, found byte 0x%02X".formatted(next)));
        if (opcode == PickleOpcode.STOP) {
          return pickle.result();
        }
        pickle.execute(opcode);
      }
      throw refused("expected at most %d opcodes, found more".formatted(INSTRUCTIONS_MAX));
    } catch (InvalidCheckpointException e) {
      throw new InvalidCheckpointException(
          "%s: byte %d: %s".formatted(where, begin, e.getMessage()), e);
    } catch (BufferUnderflowException e) {
      throw new InvalidCheckpointException(
          "%s: byte %d: expected more, found the end".formatted(where, begin), e);
    }
  }

  private void execute(PickleOpcode opcode) {
    switch (opcode) {
      case PROTO -> expectProtocol();
      case MARK -> marks.push(stack.size());
      case NONE -> stack.add(None.NONE);
      case NEWTRUE -> stack.add(true);
      case NEWFALSE -> stack.add(false);
      case BININT -> stack.add((long) code.getInt());
      case BININT1 -> stack.add((long) toUnsignedInt(code.get()));
      case BININT2 -> stack.add((long) Short.toUnsignedInt(code.getShort()));
      case LONG1 -> stack.add(integer(toUnsignedInt(code.get())));
      case BINFLOAT -> stack.add(Double.longBitsToDouble(Long.reverseBytes(code.getLong())));
      case BINUNICODE -> stack.add(text(Integer.toUnsignedLong(code.getInt())));
      case EMPTY_TUPLE -> stack.add(new Tuple(List.of()));
      case TUPLE1 -> stack.add(new Tuple(take(1)));
      case TUPLE2 -> stack.add(new Tuple(take(2)));
      case TUPLE3 -> stack.add(new Tuple(take(3)));
      case TUPLE -> stack.add(new Tuple(take(sinceMark())));
      case EMPTY_LIST -> stack.add(new ArrayList<>());
      case APPEND -> append(take(1));
      case APPENDS -> append(take(sinceMark()));
      case EMPTY_DICT -> stack.add(new LinkedHashMap<String, Object>());
      case SETITEM -> put(take(2));
      case SETITEMS -> put(take(sinceMark()));
      case BUILD -> build(take(1).get(0));
      case BINPUT -> memo.put((long) toUnsignedInt(code.get()), top());
      case LONG_BINPUT -> memo.put(Integer.toUnsignedLong(code.getInt()), top());
      case BINGET -> stack.add(remembered(toUnsignedInt(code.get())));
      case LONG_BINGET -> stack.add(remembered(Integer.toUnsignedLong(code.getInt())));
      case GLOBAL -> stack.add(TorchObjects.global(line() + " " + line()));
      case BINPERSID -> stack.add(TorchObjects.storage(take(1).get(0)));
      case REDUCE -> {
        List<Object> call = take(2);
        stack.add(TorchObjects.call(call.get(0), call.get(1)));
      }
      default ->
          throw refused("expected only opcodes that build tensors, found %s".formatted(opcode));
    }
  }

  private Object result() {
    if (stack.size() != 1 || !marks.isEmpty() || code.hasRemaining()) {
      throw refused(
          "STOP: expected one value and the end, found %d values, %d marks, %d bytes more"
              .formatted(stack.size(), marks.size(), code.remaining()));
    }
    return stack.get(0);
  }

  private void expectProtocol() {
    int protocol = toUnsignedInt(code.get());
    if (protocol != PROTOCOL) {
      throw refused("expected a pickle of protocol %d, found %d".formatted(PROTOCOL, protocol));
    }
  }

  private long integer(int bytes) {
    if (bytes > Long.BYTES) {
      throw refused("LONG1: expected at most %d bytes, found %d".formatted(Long.BYTES, bytes));
    }
    long value = 0;
    for (int at = 0; at < bytes; at++) {
      value |= (code.get() & 0xFFL) << (at * Byte.SIZE);
    }
    int unused = Long.SIZE - bytes * Byte.SIZE;
    return bytes == 0 ? 0 : value << unused >> unused;
  }

  private String text(long bytes) {
    if (bytes > TEXT_BYTES_MAX) {
      throw refused(
          "BINUNICODE: expected at most %d bytes, found %d".formatted(TEXT_BYTES_MAX, bytes));
    }
    if (bytes > code.remaining()) {
      throw refused("BINUNICODE: expected %d bytes, found %d".formatted(bytes, code.remaining()));
    }
    ByteBuffer text = code.slice(code.position(), (int) bytes);
    code.position(code.position() + (int) bytes);
    return StrictJson.utf8("BINUNICODE", text);
  }

  private String line() {
    int begin = code.position();
    while (code.get() != '\n') {
      // Only the position matters.
    }
    byte[] line = new byte[Math.min(code.position() - begin - 1, TEXT_BYTES_MAX)];
    code.get(begin, line);
    return new String(line, StandardCharsets.UTF_8);
  }

  /** Number of values above the last mark, which is removed. */
  private int sinceMark() {
    if (marks.isEmpty()) {
      throw refused("expected a mark, found none");
    }
    return stack.size() - marks.pop();
  }

  /** Pops {@code count} values; the lowest comes first. */
  private List<Object> take(int count) {
    int floor = marks.isEmpty() ? 0 : marks.peek();
    if (stack.size() - count < floor) {
      throw refused(
          "expected %d values on the stack, found %d".formatted(count, stack.size() - floor));
    }
    List<Object> tail = stack.subList(stack.size() - count, stack.size());
    List<Object> taken = List.copyOf(tail);
    tail.clear();
    return taken;
  }

  private Object top() {
    if (stack.isEmpty()) {
      throw refused("expected a value on the stack, found none");
    }
    return stack.get(stack.size() - 1);
  }

  private Object remembered(long index) {
    Object value = memo.get(index);
    if (value == null) {
      throw refused("expected a remembered value %d, found none".formatted(index));
    }
    return value;
  }

  @SuppressWarnings("unchecked") // every List that the machine makes is one of Object
  private void append(List<Object> values) {
    if (!(top() instanceof List<?> list)) {
      throw refused(
          "expected a list to append to, found %s".formatted(TorchObjects.kind(top().getClass())));
    }
    ((List<Object>) list).addAll(values);
  }

  @SuppressWarnings("unchecked") // every Map that the machine makes is one of String to Object
  private void put(List<Object> keysAndValues) {
    if (!(top() instanceof Map<?, ?> map) || keysAndValues.size() % 2 != 0) {
      throw refused(
          "expected a dictionary and pairs for it, found %s and %d values"
              .formatted(TorchObjects.kind(top().getClass()), keysAndValues.size()));
    }
    for (int at = 0; at < keysAndValues.size(); at += 2) {
      if (!(keysAndValues.get(at) instanceof String key)) {
        throw refused(
            "expected text as key of a dictionary, found %s"
                .formatted(TorchObjects.kind(keysAndValues.get(at).getClass())));
      }
      if (((Map<String, Object>) map).put(key, keysAndValues.get(at + 1)) != null) {
        throw refused("expected a key once in its dictionary, found '%s' twice".formatted(key));
      }
    }
  }

  /** Attributes of an OrderedDict: PyTorch hangs version numbers of modules on it. */
  private void build(Object attributes) {
    if (!(top() instanceof Map<?, ?>) || !(attributes instanceof Map<?, ?>)) {
      throw refused(
          "BUILD: expected a dictionary and its attributes, found %s and %s"
              .formatted(
                  TorchObjects.kind(top().getClass()), TorchObjects.kind(attributes.getClass())));
    }
  }

  private static InvalidCheckpointException refused(String message) {
    return new InvalidCheckpointException(message);
  }
}
