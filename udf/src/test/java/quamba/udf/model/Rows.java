package quamba.udf.model;

import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * Drives a model as an engine would, with rows that all start at once: prompts in pieces, then one
 * id a step.
 */
final class Rows {
  /** A text to generate: where, from what and how. */
  record Row(int slot, List<Integer> prompt, Sampling sampling, long key) {
    static Row greedy(int slot, List<Integer> prompt) {
      return new Row(slot, prompt, Sampling.GREEDY, 0);
    }
  }

  private final MambaModel model;
  private final int piece;
  private final List<Text> texts = new ArrayList<>();

  private Rows(MambaModel model, int piece) {
    this.model = model;
    this.piece = piece;
  }

  /** A row under way: all its ids, and how many of them the model has seen. */
  private static final class Text {
    private final Row row;
    private final int wanted;
    private final List<Integer> ids;
    private int seen;

    Text(Row row, int count) {
      this.row = row;
      wanted = row.prompt().size() + count;
      ids = new ArrayList<>(row.prompt());
    }

    boolean open() {
      return ids.size() < wanted;
    }

    int left() {
      return ids.size() - seen;
    }

    IntBuffer next(int count) {
      int[] next = ids.subList(seen, seen + count).stream().mapToInt(Integer::intValue).toArray();
      return IntBuffer.wrap(next);
    }
  }

  /**
   * Generates {@code count} ids a row.
   *
   * @param piece the most prompt ids of a row in a step
   */
  static List<List<Integer>> generate(MambaModel model, int count, int piece, List<Row> rows) {
    Rows driver = new Rows(model, piece);
    for (Row row : rows) {
      model.start(row.slot(), row.sampling(), row.key());
      driver.texts.add(new Text(row, count));
    }
    driver.run();
    return driver.generated();
  }

  /**
   * As {@link #generate}, each prompt in one piece, and each step begun before the ids of the one
   * before are known.
   */
  static List<List<Integer>> generateAhead(MambaModel model, int count, List<Row> rows) {
    Rows driver = new Rows(model, model.tokensPerStep());
    Step step = Step.allocate(model.slots(), model.tokensPerStep());
    Step next = Step.allocate(model.slots(), model.tokensPerStep());
    for (Row row : rows) {
      model.start(row.slot(), row.sampling(), row.key());
      Text text = new Text(row, count);
      driver.texts.add(text);
      step.addSampled(row.slot(), 0, text.next(text.left()));
    }
    model.begin(step);
    for (int token = 1; token < count; token++) {
      next.clear();
      for (int i = 0; i < rows.size(); i++) {
        Row row = rows.get(i);
        next.addSampled(row.slot(), row.prompt().size() + token - 1, Step.chosen(i));
      }
      model.begin(next);
      driver.take(step);
      Step done = step;
      step = next;
      next = done;
    }
    driver.take(step);
    return driver.generated();
  }

  private void take(Step step) {
    model.await(step);
    for (int row = 0; row < texts.size(); row++) {
      texts.get(row).ids.add(step.sampled(row));
    }
  }

  private List<List<Integer>> generated() {
    return texts.stream()
        .map(text -> text.ids.subList(text.row.prompt().size(), text.wanted))
        .toList();
  }

  private void run() {
    Step step = Step.allocate(model.slots(), model.tokensPerStep());
    while (texts.stream().anyMatch(Text::open)) {
      step.clear();
      List<Text> sampled = addSampled(step);
      addPartial(step, sampled);
      model.step(step);
      for (int row = 0; row < sampled.size(); row++) {
        sampled.get(row).ids.add(step.sampled(row));
      }
    }
  }

  private List<Text> addSampled(Step step) {
    List<Text> sampled = new ArrayList<>();
    for (Text text : texts) {
      int left = text.left();
      if (text.open() && left <= piece && left <= step.room()) {
        step.addSampled(text.row.slot(), text.seen, text.next(left));
        text.seen += left;
        sampled.add(text);
      }
    }
    return sampled;
  }

  private void addPartial(Step step, List<Text> sampled) {
    for (Text text : texts) {
      int count = Math.min(step.room(), Math.min(piece, text.left() - 1));
      if (text.open() && count > 0 && !sampled.contains(text)) {
        step.addPartial(text.row.slot(), text.seen, text.next(count));
        text.seen += count;
      }
    }
  }

  /** Logits (tokens, width) of every token of {@code ids}, fed to {@code slot} in pieces. */
  static float[][] logits(MambaModel model, int slot, int piece, int... ids) {
    float[][] logits = new float[ids.length][model.logitsWidth()];
    Step step = Step.allocate(model.slots(), model.tokensPerStep());
    for (int done = 0; done < ids.length; done += piece) {
      int from = done;
      step.clear();
      step.addPartial(slot, from, IntBuffer.wrap(ids, from, Math.min(piece, ids.length - from)));
      model.logits(
          step,
          (first, count, values) -> {
            for (int token = first; token < first + count; token++) {
              values.get(logits[from + token]);
            }
          });
    }
    return logits;
  }
}
