package quamba.udf.recipe;

import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import quamba.kernels.HostTensor;
import quamba.kernels.Shape;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.quantizer.FloatWeights;

/**
 * A model under way from floats to codes: what has been put in, and for the rest the rewritten
 * floats, computed when they are asked for.
 */
final class DraftModel implements TensorSource {
  private static final Pattern LAYER = Pattern.compile("backbone\\.layers\\.(\\d+)\\..+");

  private final String config;
  private final FloatWeights weights;
  private final Map<String, Shape> shapes; // of floats
  private final Map<String, HostTensor> done;
  private final Map<String, HostTensor> sinceMark = new HashMap<>();

  private DraftModel(
      String config,
      FloatWeights weights,
      Map<String, Shape> shapes,
      Map<String, HostTensor> done) {
    this.config = config;
    this.weights = weights;
    this.shapes = shapes;
    this.done = done;
  }

  /**
   * A model with nothing done.
   *
   * @param config of the draft
   * @param weights of the draft
   * @param origin whose tensors the draft has
   */
  static DraftModel of(String config, FloatWeights weights, TensorSource origin) {
    Map<String, Shape> shapes = new HashMap<>();
    origin.names().forEach(name -> shapes.put(name, origin.tensor(name).shape()));
    shapes.putIfAbsent(FloatWeights.HEAD, shapes.get(FloatWeights.EMBEDDING));
    return new DraftModel(config, weights, Map.copyOf(shapes), new HashMap<>());
  }

  /** Begins to note what is put in. */
  void mark() {
    sinceMark.clear();
  }

  /** What was put in since {@link #mark}. */
  Map<String, HostTensor> sinceMark() {
    return Map.copyOf(sinceMark);
  }

  /** Puts a tensor in. */
  void put(String name, HostTensor tensor) {
    sinceMark.put(name, tensor);
    done.put(name, tensor);
  }

  /** The same with other words in config.json. */
  DraftModel with(String otherConfig) {
    return new DraftModel(otherConfig, weights, shapes, new HashMap<>(done));
  }

  /** The model's first layers as they are now, which run as the whole does. */
  DraftModel first(int layers) {
    return filtered(ConfigText.truncated(config, layers), name -> layer(name) < layers);
  }

  /** The model as it is now, without some tensors. */
  DraftModel without(Set<String> names) {
    return filtered(config, name -> !names.contains(name));
  }

  private DraftModel filtered(String newConfig, Predicate<String> kept) {
    Map<String, Shape> keptShapes = new HashMap<>(shapes);
    keptShapes.keySet().removeIf(kept.negate());
    Map<String, HostTensor> keptDone = new HashMap<>(done);
    keptDone.keySet().removeIf(kept.negate());
    return new DraftModel(newConfig, weights, keptShapes, keptDone);
  }

  /** The layer that a tensor belongs to, −1 of none. */
  private static int layer(String name) {
    Matcher match = LAYER.matcher(name);
    return match.matches() ? Integer.parseInt(match.group(1)) : -1;
  }

  /** Extents of a tensor of floats. */
  Shape shape(String name) {
    return shapes.get(name);
  }

  /** Elements of a tensor of floats. */
  float[] values(String name) {
    return weights.values(name);
  }

  @Override
  public String config() {
    return config;
  }

  @Override
  public Set<String> names() {
    Set<String> names = new TreeSet<>(shapes.keySet());
    names.addAll(done.keySet());
    return Collections.unmodifiableSet(names);
  }

  @Override
  public HostTensor tensor(String name) {
    HostTensor tensor = done.get(name);
    return tensor == null ? HostTensor.of(shapes.get(name), values(name)) : tensor;
  }
}
