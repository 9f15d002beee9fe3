package quamba.job;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.zip.ZipException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.io.compress.CompressionCodec;
import org.apache.hadoop.io.compress.CompressionCodecFactory;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import quamba.udf.tokenizer.Tokenizer;

/**
 * Reads calibration texts, in the order of files and lines, no more than are needed.
 *
 * <p>A row of Parquet or JSON lines is a text: its first tokens are a sample. Plain text is cut
 * into samples one after the other. Samples of fewer than {@link
 * QuantizeConfig.Samples#LEAST_TOKENS} tokens are skipped. What comes behind the samples is held
 * out, to compare models with; if nothing does, the last sixteenth of the samples.
 */
final class CalibrationTexts {
  /** Texts to compare models with, at most. */
  private static final int HELD_OUT = 16;

  private static final String FLAG = "--calibration";
  private static final String COLUMN = "text";
  private static final int CHARACTERS_A_TOKEN = 8;
  private static final int MOST_CHARACTERS = 1 << 24;

  private final Session session;
  private final QuantizeConfig.Samples wanted;
  private final Tokenizer tokenizer;
  private final List<int[]> samples = new ArrayList<>();

  private CalibrationTexts(Session session, QuantizeConfig.Samples wanted, Tokenizer tokenizer) {
    this.session = session;
    this.wanted = wanted;
    this.tokenizer = tokenizer;
  }

  /**
   * Token ids of texts.
   *
   * @param samples to measure with
   * @param heldOut to compare with
   */
  record Ids(List<int[]> samples, List<int[]> heldOut) {}

  /**
   * Reads and tokenizes.
   *
   * @throws IllegalArgumentException if there are too few texts, or they are not what they must be
   */
  static Ids read(Session session, QuantizeConfig.Samples wanted, Tokenizer tokenizer)
      throws IOException {
    CalibrationTexts texts = new CalibrationTexts(session, wanted, tokenizer);
    Configuration hadoop = session.context().hadoopConfiguration();
    String name = wanted.path().replaceAll("(\\.gz|\\.bz2|/+)+$", "");
    try {
      InputFiles files = InputFiles.list(hadoop, List.of(wanted.path()));
      if (name.endsWith(".parquet")) {
        texts.parquet();
      } else {
        for (FileStatus file : files.files()) {
          texts.file(hadoop, file);
        }
      }
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException(FLAG + ": expected UTF-8, found other bytes", e);
    } catch (EOFException | ZipException e) {
      throw new IllegalArgumentException(FLAG + ": cannot be read: " + e.getMessage(), e);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(e.getMessage().replace("--input", FLAG), e);
    }
    return texts.split();
  }

  private boolean isEnough() {
    return samples.size() >= wanted.count() + HELD_OUT;
  }

  private void parquet() {
    Dataset<String> rows =
        session.spark().read().parquet(wanted.path()).select(COLUMN).as(Encoders.STRING());
    for (Iterator<String> texts = rows.toLocalIterator(); texts.hasNext() && !isEnough(); ) {
      String text = texts.next();
      add(text == null ? "" : text);
    }
  }

  private void file(Configuration hadoop, FileStatus file) throws IOException {
    CompressionCodec codec = new CompressionCodecFactory(hadoop).getCodec(file.getPath());
    String name = file.getPath().getName().replaceAll("(\\.gz|\\.bz2)$", "");
    try (InputStream raw = file.getPath().getFileSystem(hadoop).open(file.getPath());
        InputStream plain = codec == null ? raw : codec.createInputStream(raw);
        BufferedReader in =
            new BufferedReader(new InputStreamReader(plain, StandardCharsets.UTF_8.newDecoder()))) {
      if (name.matches(".*\\.(jsonl|ndjson|json)")) {
        jsonLines(in);
      } else {
        plain(in);
      }
    }
  }

  private void jsonLines(BufferedReader in) throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    int number = 0;
    for (String line = in.readLine(); line != null && !isEnough(); line = in.readLine()) {
      number++;
      if (!line.isBlank()) {
        add(text(mapper, line, number));
      }
    }
  }

  private static String text(ObjectMapper mapper, String line, int number) {
    JsonNode text;
    try {
      text = mapper.readTree(line).path(COLUMN);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException("%s: line %d is no JSON".formatted(FLAG, number), e);
    }
    if (!text.isTextual()) {
      throw new IllegalArgumentException(
          "%s: line %d: expected a text '%s', found %s"
              .formatted(FLAG, number, COLUMN, text.getNodeType()));
    }
    return text.asText();
  }

  private void plain(BufferedReader in) throws IOException {
    long needed = (long) (wanted.count() + HELD_OUT) * wanted.tokens() * CHARACTERS_A_TOKEN;
    char[] text = new char[(int) Math.min(MOST_CHARACTERS, needed)];
    int length = 0;
    for (int read = 0; read >= 0 && length < text.length; length += Math.max(0, read)) {
      read = in.read(text, length, text.length - length);
    }
    boolean half = length > 0 && Character.isHighSurrogate(text[length - 1]);
    int[] ids = tokenizer.encode(new String(text, 0, half ? length - 1 : length));
    for (int at = 0; at < ids.length && !isEnough(); at += wanted.tokens()) {
      add(Arrays.copyOfRange(ids, at, Math.min(ids.length, at + wanted.tokens())));
    }
  }

  private void add(String text) {
    int[] ids = tokenizer.encode(text);
    add(Arrays.copyOf(ids, Math.min(ids.length, wanted.tokens())));
  }

  private void add(int... ids) {
    if (ids.length >= QuantizeConfig.Samples.LEAST_TOKENS) {
      samples.add(ids);
    }
  }

  private Ids split() {
    if (samples.size() < 2) {
      throw new IllegalArgumentException(
          "%s: expected at least 2 texts of %d tokens, found %d"
              .formatted(FLAG, QuantizeConfig.Samples.LEAST_TOKENS, samples.size()));
    }
    int last = Math.max(1, samples.size() / HELD_OUT);
    int measured = Math.min(wanted.count(), samples.size() - last);
    if (samples.size() > wanted.count()) {
      measured = wanted.count();
    }
    return new Ids(
        List.copyOf(samples.subList(0, measured)),
        List.copyOf(samples.subList(measured, samples.size())));
  }
}
