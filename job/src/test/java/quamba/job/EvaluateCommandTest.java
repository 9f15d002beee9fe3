package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quamba.udf.EvaluationTask;
import quamba.udf.SharedFiles;
import quamba.udf.Weights;
import quamba.udf.evaluation.Score;
import quamba.udf.evaluation.Text;
import quamba.udf.model.StateFormat;

/** Evaluations against a plain recount, and what they refuse. */
class EvaluateCommandTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int ITEMS = 50;

  private static LocalSession session;
  @TempDir Path folder;

  @BeforeAll
  static void start() {
    session = LocalSession.start(2);
  }

  @AfterAll
  static void stop() {
    session.close();
  }

  private JobRun run(String... flags) {
    List<String> arguments = new ArrayList<>(List.of("evaluate", "--model=" + TestFiles.model()));
    arguments.addAll(List.of(flags));
    return JobRun.of(arguments.toArray(new String[0]));
  }

  private JsonNode json(String... flags) throws IOException {
    Path file = folder.resolve("found.json");
    List<String> all = new ArrayList<>(List.of(flags));
    all.add("--json=" + file);
    JobRun run = run(all.toArray(new String[0]));
    assertEquals(Main.OK, run.exitCode(), run.err());
    assertTrue(run.out().contains("JSON: " + file), run.out());
    return JSON.readTree(file.toFile());
  }

  private Path file(String name, String content) throws IOException {
    return Files.writeString(folder.resolve(name), content);
  }

  private Path prose() throws IOException {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 40; i++) {
      text.append("Chapter ").append(i).append(". It was a bright cold day, and the ");
      text.append(i % 3 == 0 ? "clocks" : "bells").append(" struck ").append(i * 7).append(".\n");
    }
    return file("prose.txt", text.toString());
  }

  @Test
  void textIsThatOfAPlainRecount() throws Exception {
    Path other = SharedFiles.shared("models/mamba2-g4-6m");
    Path prose = prose();
    JsonNode found =
        json("--text=" + prose, "--reference=" + other, "--window=100", "--limit=5", "--gate=nll>0")
            .path("text")
            .path(prose.toString());
    double nll = 0;
    double referenceNll = 0;
    double kl = 0;
    int agreed = 0;
    try (Recount model = new Recount(TestFiles.model());
        Recount reference = new Recount(other)) {
      int[] ids = model.encode(Files.readString(prose));
      for (int start = 0; start < 500; start += 100) {
        int[] window = Arrays.copyOfRange(ids, start, start + 100);
        double[][] mine = model.logProbabilities(window);
        double[][] theirs = reference.logProbabilities(window);
        for (int at = 0; at < 99; at++) {
          nll -= mine[at][window[at + 1]];
          referenceNll -= theirs[at][window[at + 1]];
          agreed += Recount.likeliest(mine[at]) == Recount.likeliest(theirs[at]) ? 1 : 0;
          for (int id = 0; id < mine[at].length; id++) {
            kl += Math.exp(theirs[at][id]) * (theirs[at][id] - mine[at][id]);
          }
        }
      }
    }
    assertEquals(495, found.path("tokens").intValue());
    assertEquals(nll, found.path("nll").doubleValue(), 1e-9 * nll);
    assertEquals(Math.exp(nll / 495), found.path("perplexity").doubleValue(), 1e-6);
    assertEquals(referenceNll, found.path("reference_nll").doubleValue(), 1e-9 * referenceNll);
    assertEquals(kl / 495, found.path("kl").doubleValue(), 1e-9);
    assertEquals(agreed / 495.0, found.path("agreement").doubleValue());
  }

  @Test
  void wholeWindowsOnlyAndNothingOfAReferenceThatIsNot() throws Exception {
    Path prose = prose();
    Path packed = folder.resolve("prose.txt.gz");
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (GZIPOutputStream gzip = new GZIPOutputStream(bytes)) {
      gzip.write(Files.readAllBytes(prose));
    }
    Files.write(packed, bytes.toByteArray());
    JsonNode texts =
        json("--text=" + prose, "--text=" + packed, "--window=100", "--weights=path").path("text");
    int tokens;
    try (Recount model = new Recount(TestFiles.model())) {
      tokens = model.encode(Files.readString(prose)).length;
    }
    JsonNode found = texts.path(prose.toString());
    assertEquals(tokens / 100 * 99, found.path("tokens").intValue());
    assertEquals(found, texts.path(packed.toString()));
    assertEquals(
        List.of("nll", "perplexity", "tokens"),
        found.properties().stream().map(Map.Entry::getKey).sorted().toList());
  }

  @Test
  void partitionsChangeNothing() {
    JavaSparkContext spark = new JavaSparkContext(session.spark().sparkContext());
    List<Text> texts = new ArrayList<>();
    for (int i = 0; i < 13; i++) {
      int first = i;
      texts.add(
          new Text(
              IntStream.range(0, 20 + 31 * i).map(id -> (first + id * id) % 8192).toArray(), 1));
    }
    try (Weights.Origin origin = Weights.Origin.open(TestFiles.model())) {
      Weights weights = Weights.broadcast(origin, spark);
      Evaluation evaluation =
          new Evaluation(spark, new EvaluationTask(List.of(weights), "cpu", StateFormat.F32, 8192));
      List<Score> one = evaluation.scores(texts, 1);
      assertEquals(one, evaluation.scores(texts, 4));
      assertEquals(one, evaluation.scores(texts, 13));
      weights.release();
    }
  }

  private static List<JsonNode> items(Path file) throws IOException {
    List<JsonNode> items = new ArrayList<>();
    try (GZIPInputStream in = new GZIPInputStream(Files.newInputStream(file))) {
      String[] lines = new String(in.readAllBytes(), StandardCharsets.UTF_8).split("\n", -1);
      for (int i = 0; i < ITEMS; i++) {
        items.add(JSON.readTree(lines[i]));
      }
    }
    return items;
  }

  @Test
  void lastWordsAreThoseOfAPlainRecount() throws Exception {
    Path file = SharedFiles.shared("data/lambada/lambada_test.jsonl.gz");
    JsonNode found =
        json("--task=lambada=" + file, "--limit=" + ITEMS).path("task").path("lambada");
    int right = 0;
    double logSum = 0;
    try (Recount model = new Recount(TestFiles.model())) {
      for (JsonNode item : items(file)) {
        String text = item.get("text").textValue();
        int[] ids = model.encode(text);
        int from = model.encode(text.substring(0, text.lastIndexOf(' '))).length;
        double[][] all = model.logProbabilities(ids);
        boolean exact = true;
        for (int at = from; at < ids.length; at++) {
          logSum += all[at - 1][ids[at]];
          exact &= Recount.likeliest(all[at - 1]) == ids[at];
        }
        right += exact ? 1 : 0;
      }
    }
    assertEquals(ITEMS, found.path("n").intValue());
    assertEquals((double) right / ITEMS, found.path("acc").doubleValue());
    assertTrue(found.has("acc_norm") && found.get("acc_norm").isNull());
    double perplexity = Math.exp(-logSum / ITEMS);
    assertEquals(perplexity, found.path("perplexity").doubleValue(), 1e-7 * perplexity);
  }

  @Test
  void choicesAreThoseOfAPlainRecount() throws Exception {
    Path piqa = SharedFiles.shared("data/eval/piqa.jsonl.gz");
    Path winogrande = SharedFiles.shared("data/eval/winogrande.jsonl.gz");
    JsonNode found =
        json("--task=piqa=" + piqa, "--task=wino=" + winogrande, "--limit=" + ITEMS).path("task");
    assertChoices(items(piqa), found.path("piqa"));
    assertChoices(items(winogrande), found.path("wino"));
  }

  private static void assertChoices(List<JsonNode> items, JsonNode found) throws Exception {
    int right = 0;
    int rightByLength = 0;
    try (Recount model = new Recount(TestFiles.model())) {
      for (JsonNode item : items) {
        int count = item.get("choices").size();
        double[] scores = new double[count];
        double[] byLength = new double[count];
        for (int i = 0; i < count; i++) {
          String choice = item.get("choices").get(i).textValue();
          String context =
              item.has("contexts")
                  ? item.get("contexts").get(i).textValue()
                  : item.get("context").textValue();
          int[] ids = model.encode(context + " " + choice);
          double[][] all = model.logProbabilities(ids);
          for (int at = model.encode(context).length; at < ids.length; at++) {
            scores[i] += all[at - 1][ids[at]];
          }
          byLength[i] = scores[i] / choice.getBytes(StandardCharsets.UTF_8).length;
        }
        int label = item.get("label").intValue();
        right += Recount.likeliest(scores) == label ? 1 : 0;
        rightByLength += Recount.likeliest(byLength) == label ? 1 : 0;
      }
    }
    assertEquals(ITEMS, found.path("n").intValue());
    assertEquals((double) right / ITEMS, found.path("acc").doubleValue());
    assertEquals((double) rightByLength / ITEMS, found.path("acc_norm").doubleValue());
  }

  @Test
  void lengthsAreBytesOrCharacters() throws IOException {
    MultipleChoice.Choice choice = MultipleChoice.Choice.of(new Text(new int[] {1, 2}, 1), "né 𝄞");
    assertEquals(8, choice.bytes());
    assertEquals(4, choice.characters());
  }

  @Test
  void aGateSaysNoAfterEverythingIsWritten() throws IOException {
    Path prose = prose();
    Path task = file("two.jsonl", LAST_WORD + "\n" + LAST_WORD);
    Path json = folder.resolve("found.json");
    String[] same = {
      "--reference=" + TestFiles.model(),
      "--text=" + prose,
      "--task=words=" + task,
      "--window=64",
      "--limit=2",
      "--json=" + json
    };
    assertEquals(Main.OK, gated(same, "kl<=0,agreement>=1,perplexity<=1x,words>=1x").exitCode());
    Files.delete(json);
    JobRun no = gated(same, "kl<=0.02,nll<0.5x,agreement>1");
    assertEquals(Main.GATED, no.exitCode(), no.err());
    assertEquals(4, no.exitCode());
    assertTrue(no.err().contains("gate: nll<0.5x does not hold for " + prose), no.err());
    assertTrue(no.err().contains("agreement>1 does not hold"), no.err());
    assertTrue(no.err().contains("expected > 1.00000, found 1.00000"), no.err());
    assertFalse(no.err().contains("kl<="), no.err());
    assertTrue(Files.exists(json));
    assertTrue(no.out().contains("agreement"), no.out());
  }

  private JobRun gated(String[] flags, String gate) {
    List<String> all = new ArrayList<>(List.of(flags));
    all.add("--gate=" + gate);
    return run(all.toArray(new String[0]));
  }

  private static final String LAST_WORD = "{\"text\": \"once upon a time\"}";

  private static void assertRefused(JobRun run, String message) {
    assertEquals(Main.REFUSED, run.exitCode(), run.err());
    assertTrue(run.err().contains(message), run.err());
    assertEquals(1, run.err().lines().count(), run.err());
  }

  @Test
  void badTextsAreRefused() throws IOException {
    Path prose = prose();
    assertRefused(run("--text=" + folder.resolve("none.txt")), "expected a file");
    assertRefused(run("--text=" + file("short.txt", "a few words")), "one window of 1024 tokens");
    assertRefused(run("--text=" + file("empty.txt", "")), "found 0 tokens");
    Path bad = Files.write(folder.resolve("bad.txt"), new byte[] {'a', 'b', (byte) 0xff, 'c'});
    assertRefused(run("--text=" + bad), "bad.txt: expected UTF-8, found other bytes at byte 2");
    Path cut = Files.write(folder.resolve("cut.txt"), new byte[] {'a', (byte) 0xe2, (byte) 0x82});
    assertRefused(run("--text=" + cut), "found other bytes at byte 1");
    Path packed = Files.writeString(folder.resolve("no.gz"), "no gzip");
    assertRefused(run("--text=" + packed), "no.gz cannot be read");
    assertRefused(run("--text=" + prose, "--gate=acc>1"), "found 'acc'");
    assertRefused(
        run("--text=" + prose, "--json=" + folder.resolve("no/found.json")), "expected a folder");
    assertRefused(run("--text=" + prose, "--reference=" + folder), "config.json");
    assertFalse(Files.exists(folder.resolve("found.json")));
  }

  @Test
  void badItemsAreRefused() throws IOException {
    String good = "{\"context\":\"Sky:\",\"choices\":[\"blue\",\"red\"],\"label\":0}";
    assertItemRefused(good + "\n{\"context\":", 2, "expected a JSON object");
    assertItemRefused("[1]", 1, "expected a JSON object");
    assertItemRefused("", 1, "expected a JSON object");
    assertItemRefused("\n", 1, "expected a JSON object");
    assertItemRefused(good + "\n\n" + good, 2, "expected a JSON object");
    assertItemRefused("{}", 1, "expected text, or choices");
    assertItemRefused(good.replace(",\"red\"", ""), 1, "a list of 2 or more");
    assertItemRefused(good.replace("\"red\"", "7"), 1, "choices: expected a text");
    assertItemRefused(good.replace("\"red\"", "\"\""), 1, "found an empty one");
    assertItemRefused(good.replace(":0", ":2"), 1, "label: expected the index of a choice");
    assertItemRefused(good.replace("\"Sky:\"", "null"), 1, "context: expected a text");
    assertItemRefused(good.replace("Sky:", ""), 1, "found 0 of 1 ids before them");
    assertItemRefused(
        good.replace("\"label\"", "\"contexts\":[\"a\"],\"label\""), 1, "as many as choices");
    assertItemRefused(LAST_WORD + "\n" + good, 2, "text: expected a text");
    assertItemRefused("{\"text\":\"word\"}", 1, "words, a space, a word");
    assertItemRefused("{\"text\":\"a word \"}", 1, "words, a space, a word");
    assertItemRefused("{\"text\":\"a \\ud800 word\"}", 1, "unpaired surrogate");
    assertRefused(run("--task=p=" + folder.resolve("none")), "expected a file");
    Path words = file("words.jsonl", LAST_WORD);
    assertRefused(
        run("--task=w=" + words, "--gate=w.acc_norm>0"), "expected a task of multiple choice");
  }

  private void assertItemRefused(String content, int line, String message) throws IOException {
    Path file = file("items.jsonl", content);
    assertRefused(run("--task=t=" + file), file + ": line " + line + ": ");
    assertRefused(run("--task=t=" + file), message);
  }
}
