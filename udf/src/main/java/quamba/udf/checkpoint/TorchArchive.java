package quamba.udf.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;

/**
 * One {@code pytorch_model.bin}, open for reading: a zip archive of a pickle and of storages, as
 * {@code torch.save} writes it. The pickle is read as data by {@link Pickle}. Tensors that lie in
 * their storage row-major are mapped; views of another order are copied into direct memory. Tensors
 * of a nested dictionary have the names of both, with a dot between.
 */
public final class TorchArchive implements TensorFile {
  private static final int PICKLE_BYTES_MAX = 64 << 20;
  private static final int BYTE_ORDER_BYTES_MAX = 16;
  private static final int DEPTH_MAX = 8;
  private static final int NAME_LENGTH_MAX = 4096;
  private static final int VALUES_MAX = 1_000_000;

  /** A view that was compared with its storage. */
  private record Placed(TensorSpec spec, TorchView view, TorchEntries.Range range) {}

  private final Path file;
  private final FileChannel channel;
  private final TorchEntries entries;
  private final ByteOrder order;
  private final Map<String, Placed> tensors = new LinkedHashMap<>();
  private int values;

  private TorchArchive(Path file, FileChannel channel) throws IOException {
    this.file = file;
    this.channel = channel;
    this.entries = TorchEntries.read(file, channel.size());
    this.order = byteOrder();
    ByteBuffer pickle = record(TorchEntries.PICKLE, PICKLE_BYTES_MAX);
    Object root = Pickle.read(file + ": data.pkl", pickle);
    if (!(root instanceof Map<?, ?> dictionary)) {
      throw new InvalidCheckpointException(
          "%s: expected a dictionary of tensors, found %s"
              .formatted(file, TorchObjects.kind(root.getClass())));
    }
    place("", dictionary, 1);
    long bytes = tensors.values().stream().mapToLong(tensor -> tensor.spec().bytes()).sum();
    if (bytes / 2 > channel.size()) {
      throw new InvalidCheckpointException(
          "%s: expected tensors of at most twice the file's %d bytes, found %d: too many views"
              .formatted(file, channel.size(), bytes));
    }
  }

  /**
   * Opens an archive and compares every tensor with the storage that it views.
   *
   * @throws InvalidCheckpointException if it cannot be read, is damaged, or holds anything but
   *     tensors in dictionaries
   */
  public static TorchArchive open(Path file) {
    try {
      FileChannel channel = FileChannel.open(file);
      try {
        return new TorchArchive(file, channel);
      } catch (IOException | RuntimeException e) {
        channel.close();
        throw e;
      }
    } catch (IOException e) {
      throw new InvalidCheckpointException(file + ": cannot be read: " + e, e);
    }
  }

  @Override
  public Path file() {
    return file;
  }

  /** Names of all tensors, in the order of the archive. */
  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(tensors.keySet());
  }

  @Override
  public TensorSpec spec(String name) {
    return placed(name).spec();
  }

  @Override
  public HostTensor tensor(String name) {
    Placed tensor = placed(name);
    TensorSpec spec = tensor.spec();
    int elementBytes = spec.dtype().bytes();
    long begin = tensor.range().begin() + tensor.view().offset() * elementBytes;
    try {
      ByteBuffer source =
          channel.map(FileChannel.MapMode.READ_ONLY, begin, span(tensor)).order(order);
      boolean asStored =
          rowMajor(tensor) && (order == ByteOrder.LITTLE_ENDIAN || elementBytes == 1);
      return new HostTensor(spec.dtype(), spec.shape(), asStored ? source : copy(tensor, source));
    } catch (IOException e) {
      throw new InvalidCheckpointException(
          "%s: tensor '%s': cannot be read: %s".formatted(file, name, e), e);
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new InvalidCheckpointException(file + ": cannot be closed: " + e, e);
    }
  }

  private ByteOrder byteOrder() throws IOException {
    if (!entries.has("byteorder")) {
      return ByteOrder.LITTLE_ENDIAN;
    }
    String text = StrictJson.utf8(file + ": byteorder", record("byteorder", BYTE_ORDER_BYTES_MAX));
    return switch (text) {
      case "little" -> ByteOrder.LITTLE_ENDIAN;
      case "big" -> ByteOrder.BIG_ENDIAN;
      default ->
          throw new InvalidCheckpointException(
              "%s: byteorder: expected little or big, found '%s'".formatted(file, text));
    };
  }

  private ByteBuffer record(String name, int bytesMax) throws IOException {
    TorchEntries.Range range = entries.range(file.toString(), name);
    if (range.bytes() > bytesMax) {
      throw new InvalidCheckpointException(
          "%s: %s: expected at most %d bytes, found %d"
              .formatted(file, name, bytesMax, range.bytes()));
    }
    return channel.map(FileChannel.MapMode.READ_ONLY, range.begin(), range.bytes());
  }

  private void place(String prefix, Map<?, ?> dictionary, int depth) {
    for (Map.Entry<?, ?> entry : dictionary.entrySet()) {
      String name = prefix + entry.getKey();
      if (depth > DEPTH_MAX || name.length() > NAME_LENGTH_MAX || ++values > VALUES_MAX) {
        throw new InvalidCheckpointException(
            "%s: expected dictionaries %d deep, names of %d characters, %d values; found more"
                .formatted(file, DEPTH_MAX, NAME_LENGTH_MAX, VALUES_MAX));
      }
      if (entry.getValue() instanceof Map<?, ?> nested) {
        place(name + ".", nested, depth + 1);
      } else if (entry.getValue() instanceof TorchView view) {
        if (tensors.put(name, placed("%s: tensor '%s'".formatted(file, name), view)) != null) {
          throw new InvalidCheckpointException(
              "%s: expected a tensor '%s', found two".formatted(file, name));
        }
      } else {
        throw new InvalidCheckpointException(
            "%s: '%s': expected a tensor, found %s"
                .formatted(file, name, TorchObjects.kind(entry.getValue().getClass())));
      }
    }
  }

  private Placed placed(String name) {
    Placed tensor = tensors.get(name);
    if (tensor == null) {
      throw new InvalidCheckpointException("%s: has no tensor '%s'".formatted(file, name));
    }
    return tensor;
  }

  private Placed placed(String where, TorchView view) {
    TorchView.Storage storage = view.storage();
    TorchEntries.Range range = entries.range(where, "data/" + storage.key());
    int elementBytes = storage.dtype().bytes();
    if (storage.elements() != range.bytes() / elementBytes || range.bytes() % elementBytes != 0) {
      throw new InvalidCheckpointException(
          "%s: storage '%s': expected %d elements of %s, found %d bytes"
              .formatted(where, storage.key(), storage.elements(), storage.dtype(), range.bytes()));
    }
    long[] extents = view.extents().stream().mapToLong(Long::longValue).toArray();
    TensorSpec spec = TensorSpec.checked(where, storage.dtype(), extents);
    Placed placed = new Placed(spec, view, range);
    boolean forward = view.offset() >= 0 && view.strides().stream().allMatch(stride -> stride >= 0);
    if (!forward
        || spec.shape().elements() > storage.elements()
        || lastElement(placed) >= storage.elements()) {
      throw new InvalidCheckpointException(
          "%s: offset %d, shape %s, strides %s: expected a view within the %d elements of '%s'"
              .formatted(
                  where,
                  view.offset(),
                  view.extents(),
                  view.strides(),
                  storage.elements(),
                  storage.key()));
    }
    if (span(placed) > Integer.MAX_VALUE) {
      throw new InvalidCheckpointException(
          "%s: expected a view over less than 2 GiB, found %d bytes"
              .formatted(where, span(placed)));
    }
    return placed;
  }

  /** Index of the last element in the storage, or one below the offset where there is none. */
  private static long lastElement(Placed tensor) {
    List<Long> strides = tensor.view().strides();
    Shape shape = tensor.spec().shape();
    if (shape.elements() == 0) {
      return tensor.view().offset() - 1;
    }
    try {
      long last = tensor.view().offset();
      for (int axis = 0; axis < shape.rank(); axis++) {
        last =
            Math.addExact(last, Math.multiplyExact(shape.dim(axis) - 1L, (long) strides.get(axis)));
      }
      return last;
    } catch (ArithmeticException e) {
      return Long.MAX_VALUE;
    }
  }

  /** Bytes from the first to the last element. */
  private static long span(Placed tensor) {
    long elements = lastElement(tensor) + 1 - tensor.view().offset();
    return elements * tensor.spec().dtype().bytes();
  }

  private static boolean rowMajor(Placed tensor) {
    Shape shape = tensor.spec().shape();
    long expected = 1;
    for (int axis = shape.rank() - 1; axis >= 0; axis--) {
      if (shape.dim(axis) > 1 && tensor.view().strides().get(axis) != expected) {
        return false;
      }
      expected *= shape.dim(axis);
    }
    return true;
  }

  private static ByteBuffer copy(Placed tensor, ByteBuffer source) {
    Shape shape = tensor.spec().shape();
    int elementBytes = tensor.spec().dtype().bytes();
    ByteBuffer target =
        ByteBuffer.allocateDirect((int) tensor.spec().bytes()).order(ByteOrder.LITTLE_ENDIAN);
    int[] index = new int[shape.rank()];
    long element = 0;
    while (target.hasRemaining()) {
      int at = (int) (element * elementBytes);
      switch (elementBytes) {
        case 1 -> target.put(source.get(at));
        case 2 -> target.putShort(source.getShort(at));
        case 4 -> target.putInt(source.getInt(at));
        default -> target.putLong(source.getLong(at));
      }
      element += next(index, shape, tensor.view().strides());
    }
    return target.flip();
  }

  /** Moves {@code index} to the next element of a row-major walk; the way there in elements. */
  private static long next(int[] index, Shape shape, List<Long> strides) {
    long way = 0;
    for (int axis = shape.rank() - 1; axis >= 0; axis--) {
      if (++index[axis] < shape.dim(axis)) {
        return way + strides.get(axis);
      }
      way -= (shape.dim(axis) - 1) * strides.get(axis);
      index[axis] = 0;
    }
    return way;
  }
}
