package quamba.udf;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.api.java.function.Function2;
import org.apache.spark.broadcast.Broadcast;
import quamba.udf.calibration.Calibration;
import quamba.udf.calibration.Comparison;
import quamba.udf.calibration.MomentsBySite;
import quamba.udf.calibration.Ranges;
import quamba.udf.calibration.SampleRun;
import quamba.udf.calibration.Site;
import quamba.udf.checkpoint.TensorSource;
import quamba.udf.model.QuantizedNames.Tap;

/**
 * Calibration on executors: models are broadcast in pieces, each task runs its part of the samples,
 * and what tasks saw is merged in a tree. The result does not depend on the parts.
 */
public final class CalibratePartition implements Calibration, AutoCloseable {
  private static final int TREE_DEPTH = 2;

  private final JavaSparkContext spark;
  private final JavaRDD<int[]> samples;
  private final JavaRDD<int[]> heldOut;
  private final Work work;

  /**
   * What tasks need besides a model.
   *
   * @param device that computes
   * @param threads of a task
   * @param mostTokens of a sample
   */
  public record Work(String device, int threads, int mostTokens) implements Serializable {}

  /**
   * Distributes the samples.
   *
   * @param samples token ids to measure with
   * @param heldOut token ids to compare with, each of two or more
   * @param partitions at most; a task has one
   */
  public CalibratePartition(
      JavaSparkContext spark, List<int[]> samples, List<int[]> heldOut, int partitions, Work work) {
    this.spark = spark;
    this.work = work;
    this.samples = spark.parallelize(samples, Math.min(partitions, samples.size())).cache();
    this.heldOut = spark.parallelize(heldOut, Math.min(partitions, heldOut.size())).cache();
  }

  @Override
  public Ranges ranges(TensorSource model, Set<Tap> taps) {
    try (Shipped shipped = Shipped.send(model, spark)) {
      return sum(samples.mapPartitions(new RangesOf(shipped, work, Set.copyOf(taps))), Ranges::add);
    }
  }

  @Override
  public MomentsBySite moments(TensorSource model, Map<Site, float[]> most) {
    try (Shipped shipped = Shipped.send(model, spark)) {
      return sum(
          samples.mapPartitions(new MomentsOf(shipped, work, Map.copyOf(most))),
          MomentsBySite::add);
    }
  }

  /**
   * In a tree whose root is on an executor too: what one task saw of a large model is hundreds of
   * megabytes, and the driver gets it once.
   */
  private static <T> T sum(JavaRDD<T> seen, Function2<T, T, T> add) {
    Function2<T, T, T> join =
        (sum, more) -> sum == null ? more : more == null ? sum : add.call(sum, more);
    return seen.treeAggregate(null, join, join, TREE_DEPTH, /* finalAggregateOnExecutor= */ true);
  }

  @Override
  public Comparison compare(TensorSource reference, TensorSource model) {
    try (Shipped expected = Shipped.send(reference, spark);
        Shipped found = Shipped.send(model, spark)) {
      return heldOut.mapPartitions(new Compared(expected, found, work)).collect().stream()
          .reduce(Comparison.NONE, Comparison::add);
    }
  }

  @Override
  public void close() {
    samples.unpersist();
    heldOut.unpersist();
  }

  /** A model as tasks get it. */
  private record Shipped(String config, WeightsLayout layout, List<Broadcast<byte[]>> pieces)
      implements Serializable, AutoCloseable {
    static Shipped send(TensorSource model, JavaSparkContext spark) {
      List<Broadcast<byte[]>> pieces = new ArrayList<>();
      WeightsLayout layout =
          WeightsLayout.cut(
              model, Weights.PIECE_BYTES, piece -> pieces.add(spark.broadcast(piece)));
      return new Shipped(model.config(), layout, List.copyOf(pieces));
    }

    /** On an executor. */
    PieceReader open() {
      return new PieceReader(config, layout, pieces);
    }

    @Override
    public void close() {
      pieces.forEach(Broadcast::destroy);
    }
  }

  private record RangesOf(Shipped model, Work work, Set<Tap> taps)
      implements FlatMapFunction<Iterator<int[]>, Ranges> {
    @Override
    public Iterator<Ranges> call(Iterator<int[]> part) {
      return List.of(
              SampleRun.ranges(
                  model.open(),
                  Backends.open(work.device(), work.threads()),
                  work.mostTokens(),
                  () -> part,
                  taps))
          .iterator();
    }
  }

  private record MomentsOf(Shipped model, Work work, Map<Site, float[]> most)
      implements FlatMapFunction<Iterator<int[]>, MomentsBySite> {
    @Override
    public Iterator<MomentsBySite> call(Iterator<int[]> part) {
      return List.of(
              SampleRun.moments(
                  model.open(),
                  Backends.open(work.device(), work.threads()),
                  work.mostTokens(),
                  () -> part,
                  new MomentsBySite(most)))
          .iterator();
    }
  }

  /** One comparison for each sample, so that sums are taken in their order. */
  private record Compared(Shipped reference, Shipped model, Work work)
      implements FlatMapFunction<Iterator<int[]>, Comparison> {
    @Override
    public Iterator<Comparison> call(Iterator<int[]> part) {
      List<Comparison> comparisons = new ArrayList<>();
      try (SampleRun expected = open(reference);
          SampleRun found = open(model)) {
        part.forEachRemaining(
            sample -> comparisons.add(SampleRun.compare(expected, found, sample)));
      }
      return comparisons.iterator();
    }

    private SampleRun open(Shipped shipped) {
      return SampleRun.open(
          shipped.open(), Backends.open(work.device(), work.threads()), work.mostTokens());
    }
  }
}
