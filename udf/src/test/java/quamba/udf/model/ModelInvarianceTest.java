package quamba.udf.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quamba.kernels.DType;
import quamba.udf.Backends;
import quamba.udf.SharedFiles;
import quamba.udf.checkpoint.Checkpoint;
import quamba.udf.model.Rows.Row;

/** A row's numbers depend on nothing but its own ids: not on pieces, batch-mates, slot or past. */
class ModelInvarianceTest {
  private static final int COUNT = 12;

  /** Untied, as a random tied head only repeats the last id. */
  private static final Map<String, String> RANDOM =
      Map.of(
          "random Mamba1",
          """
          {"d_model": 20, "n_layer": 2, "vocab_size": 53, "tie_embeddings": false,
           "ssm_cfg": {"d_state": 5}}""",
          "random Mamba2",
          """
          {"d_model": 24, "n_layer": 2, "vocab_size": 53, "tie_embeddings": false,
           "ssm_cfg": {"layer": "Mamba2", "d_state": 10, "headdim": 12, "ngroups": 2}}""");

  private static final Sampling PENALIZED = new Sampling(0, 0, 1, 0, 1.3f, 0);
  private static final Sampling SEEDED = new Sampling(0.9f, 20, 0.95f, 0.01f, 1.1f, 77);

  private static MambaModel open(String name, Capacity capacity) {
    if (RANDOM.containsKey(name)) {
      RandomModel source = new RandomModel(RANDOM.get(name), DType.F32);
      return ModelLoader.open(source, Backends.open("cpu", 2), capacity, 50);
    }
    try (Checkpoint checkpoint = Checkpoint.open(SharedFiles.shared("models/" + name))) {
      return ModelLoader.open(checkpoint, Backends.open("cpu", 2), capacity, 8192);
    }
  }

  /** Rows of 1 to 20 prompt ids, a third each greedy, penalized and seeded, in shuffled slots. */
  private static List<Row> rows(int count, int vocab) {
    Random random = new Random(5);
    List<Integer> slots = new ArrayList<>(IntStream.range(0, count).boxed().toList());
    Collections.shuffle(slots, random);
    List<Sampling> samplings = List.of(Sampling.GREEDY, PENALIZED, SEEDED);
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      List<Integer> prompt = random.ints(1 + i % 20, 0, vocab).boxed().toList();
      rows.add(new Row(slots.get(i), prompt, samplings.get(i % 3), 1000 + i));
    }
    return rows;
  }

  private static Row moved(Row row, int slot) {
    return new Row(slot, row.prompt(), row.sampling(), row.key());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"random Mamba1", "random Mamba2", "mamba1-18m", "mamba2-5m", "mamba2-g4-6m"})
  void prefillIsTheSameInAnyPieces(String name) {
    try (MambaModel model = open(name, new Capacity(3, 150))) {
      int[] ids = new Random(3).ints(150, 0, model.vocab()).toArray();
      float[][] whole = Rows.logits(model, 0, 150, ids);
      for (int piece : new int[] {1, 2, 7, 64, 149}) {
        assertArrayEquals(whole, Rows.logits(model, piece % 3, piece, ids), "pieces of " + piece);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"random Mamba1", "random Mamba2", "mamba1-18m", "mamba2-5m"})
  void rowsAreTheSameAloneAndInAnyBatch(String name) {
    try (MambaModel model = open(name, new Capacity(64, 256))) {
      List<Row> rows = rows(64, model.vocab());
      List<List<Integer>> together = Rows.generate(model, COUNT, 8, rows);
      for (int first = 0; first + 7 <= 21; first += 7) {
        List<List<Integer>> seven =
            Rows.generate(model, COUNT, 100, rows.subList(first, first + 7));
        assertEquals(together.subList(first, first + 7), seven, "rows from " + first);
      }
      for (int i = 0; i < 64; i += 9) {
        for (int piece : new int[] {3, 100}) {
          List<Row> alone = List.of(moved(rows.get(i), (i + piece) % 64));
          List<Integer> text = Rows.generate(model, COUNT, piece, alone).get(0);
          assertEquals(together.get(i), text, "row " + i);
        }
      }
    }
  }

  @Test
  void twoStepsAreUnderWayAtMost() {
    try (MambaModel model = open("random Mamba2", new Capacity(1, 32))) {
      Step step = Step.allocate(1, 32);
      assertThrows(IllegalStateException.class, model::isDone);
      assertThrows(IllegalStateException.class, () -> model.await(step));
      step.clear();
      step.addSampled(0, 0, 7);
      model.begin(step);
      model.begin(step);
      assertThrows(IllegalStateException.class, () -> model.begin(step));
      model.await(step);
      model.begin(step);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"random Mamba1", "random Mamba2", "mamba2-g4-6m"})
  void reusedSlotCarriesNothingOver(String name) {
    List<List<Integer>> fresh = new ArrayList<>();
    List<List<Integer>> reused = new ArrayList<>();
    try (MambaModel model = open(name, new Capacity(1, 32))) {
      for (Row row : rows(6, model.vocab())) {
        reused.addAll(Rows.generate(model, COUNT, 32, List.of(moved(row, 0))));
      }
    }
    for (int i = 0; i < 6; i++) {
      try (MambaModel model = open(name, new Capacity(1, 32))) {
        Row row = moved(rows(6, model.vocab()).get(i), 0);
        fresh.addAll(Rows.generate(model, COUNT, 32, List.of(row)));
      }
    }
    assertEquals(fresh, reused);
  }

  @ParameterizedTest
  @ValueSource(strings = {"random Mamba1", "random Mamba2"})
  void seedAndKeyDecideTheText(String name) {
    try (MambaModel model = open(name, new Capacity(2, 32))) {
      List<Integer> prompt = List.of(4, 9);
      Sampling other = new Sampling(0.9f, 20, 0.95f, 0.01f, 1.1f, 78);
      Row row = new Row(0, prompt, SEEDED, 1L << 40);
      List<Integer> text = text(model, row);

      assertEquals(text, text(model, moved(row, 1)));
      assertNotEquals(text, text(model, new Row(0, prompt, SEEDED, 2L << 40)));
      assertNotEquals(text, text(model, new Row(0, prompt, other, 1L << 40)));
    }
  }

  private static List<Integer> text(MambaModel model, Row row) {
    return Rows.generate(model, COUNT, 32, List.of(row)).get(0);
  }

  @ParameterizedTest
  @ValueSource(strings = {"random Mamba1", "random Mamba2"})
  void idsThatDoNotExistAreNeverChosen(String name) {
    Sampling even = new Sampling(100, 0, 1, 0, 1, 1);
    try (MambaModel model = open(name, new Capacity(1, 32))) {
      Row row = new Row(0, List.of(1), even, 0);
      List<Integer> text = Rows.generate(model, 2000, 32, List.of(row)).get(0);

      assertTrue(model.logitsWidth() > model.vocab());
      assertEquals(model.vocab(), text.stream().distinct().count());
      assertTrue(text.stream().allMatch(id -> id < model.vocab()));
    }
  }
}
