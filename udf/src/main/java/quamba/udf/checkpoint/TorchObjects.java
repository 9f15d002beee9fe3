package quamba.udf.checkpoint;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import quamba.kernels.DType;

/**
 * What the names in a PyTorch pickle stand for: the few that rebuild tensors, as plain data. Source
 * of names and arguments: {@code torch/_utils.py}, {@code torch/serialization.py}.
 */
final class TorchObjects {
  /** A Python tuple; never printed, as tuples may contain one another many times over. */
  static final class Tuple {
    private final List<Object> items;

    Tuple(List<Object> items) {
      this.items = List.copyOf(items);
    }

    private <T> T item(int index, Class<T> type, String what) {
      Object item = items.get(index);
      if (!type.isInstance(item)) {
        throw refused(
            "%s: expected %s, found %s".formatted(what, kind(type), kind(item.getClass())));
      }
      return type.cast(item);
    }
  }

  /** Python's {@code None}. */
  enum None {
    NONE
  }

  private enum Callable {
    REBUILD_TENSOR,
    REBUILD_PARAMETER,
    ORDERED_DICT
  }

  private static final Map<String, Object> GLOBALS =
      Map.ofEntries(
          Map.entry("torch._utils _rebuild_tensor_v2", Callable.REBUILD_TENSOR),
          Map.entry("torch._utils _rebuild_parameter", Callable.REBUILD_PARAMETER),
          Map.entry("collections OrderedDict", Callable.ORDERED_DICT),
          Map.entry("torch DoubleStorage", DType.F64),
          Map.entry("torch FloatStorage", DType.F32),
          Map.entry("torch HalfStorage", DType.F16),
          Map.entry("torch BFloat16Storage", DType.BF16),
          Map.entry("torch LongStorage", DType.I64),
          Map.entry("torch IntStorage", DType.I32),
          Map.entry("torch ShortStorage", DType.I16),
          Map.entry("torch CharStorage", DType.I8),
          Map.entry("torch ByteStorage", DType.U8),
          Map.entry("torch BoolStorage", DType.BOOL));

  private TorchObjects() {}

  /** What {@code module name} stands for; refused unless it rebuilds a tensor. */
  static Object global(String name) {
    Object global = GLOBALS.get(name);
    if (global == null) {
      throw refused("expected only names that rebuild tensors, found '%s'".formatted(name));
    }
    return global;
  }

  /** The result of a call in the pickle. */
  static Object call(Object callable, Object arguments) {
    if (!(callable instanceof Callable function) || !(arguments instanceof Tuple tuple)) {
      throw refused(
          "expected a call of a function with a tuple, found one of %s with %s"
              .formatted(kind(callable.getClass()), kind(arguments.getClass())));
    }
    return switch (function) {
      case REBUILD_TENSOR -> view(tuple);
      case REBUILD_PARAMETER -> {
        expectSize(tuple, 3, "arguments of _rebuild_parameter");
        yield tuple.item(0, TorchView.class, "data of _rebuild_parameter");
      }
      case ORDERED_DICT -> {
        expectSize(tuple, 0, "arguments of OrderedDict");
        yield new LinkedHashMap<String, Object>();
      }
    };
  }

  /** The storage of {@code ('storage', type, key, location, elements)}. */
  static TorchView.Storage storage(Object id) {
    if (!(id instanceof Tuple tuple)) {
      throw refused("persistent id: expected a tuple, found %s".formatted(kind(id.getClass())));
    }
    expectSize(tuple, 5, "persistent id");
    String tag = tuple.item(0, String.class, "persistent id");
    if (!tag.equals("storage")) {
      throw refused("persistent id: expected 'storage', found '%s'".formatted(tag));
    }
    return new TorchView.Storage(
        tuple.item(1, DType.class, "storage type"),
        tuple.item(2, String.class, "storage key"),
        tuple.item(4, Long.class, "storage size"));
  }

  /** What a message calls a value of the pickle. */
  static String kind(Class<?> type) {
    if (Map.class.isAssignableFrom(type)) {
      return "a dictionary";
    }
    if (List.class.isAssignableFrom(type)) {
      return "a list";
    }
    return switch (type.getSimpleName()) {
      case "String" -> "text";
      case "Long" -> "an integer";
      case "Double" -> "a number";
      case "Boolean" -> "a truth value";
      case "None" -> "None";
      case "Tuple" -> "a tuple";
      case "Storage" -> "a storage";
      case "TorchView" -> "a tensor";
      case "DType" -> "a storage type";
      default -> "a function";
    };
  }

  private static TorchView view(Tuple arguments) {
    // A seventh argument would say that the elements are to be negated or conjugated.
    expectSize(arguments, 6, "arguments of _rebuild_tensor_v2");
    List<Long> extents = integers(arguments.item(2, Tuple.class, "shape"), "shape");
    List<Long> strides = integers(arguments.item(3, Tuple.class, "strides"), "strides");
    if (extents.size() != strides.size()) {
      throw refused(
          "expected a stride for each extent, found %s for %s".formatted(strides, extents));
    }
    return new TorchView(
        arguments.item(0, TorchView.Storage.class, "storage of a tensor"),
        arguments.item(1, Long.class, "storage offset"),
        extents,
        strides);
  }

  private static List<Long> integers(Tuple tuple, String what) {
    if (tuple.items.size() > TensorSpec.RANK_MAX) {
      throw refused(
          "%s: expected at most %d numbers, found %d"
              .formatted(what, TensorSpec.RANK_MAX, tuple.items.size()));
    }
    Long[] values = new Long[tuple.items.size()];
    Arrays.setAll(values, axis -> tuple.item(axis, Long.class, what));
    return List.of(values);
  }

  private static void expectSize(Tuple tuple, int size, String what) {
    if (tuple.items.size() != size) {
      throw refused("%s: expected %d, found %d".formatted(what, size, tuple.items.size()));
    }
  }

  private static InvalidCheckpointException refused(String message) {
    return new InvalidCheckpointException(message);
  }
}
