package quamba.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.regex.Pattern;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * Prompts to time a job with: pieces of texts, a third of them short, the others of up to 160
 * words. The same arguments make the same prompts.
 *
 * <p>Arguments: JSON lines with a column {@code text}, how many prompts, the Parquet folder to
 * write, how many files.
 */
public final class MakePrompts {
  private static final Pattern SPACE = Pattern.compile(" ");
  private static final int SHORT_WORDS = 16;
  private static final int MOST_WORDS = 160;

  private MakePrompts() {}

  public static void main(String[] args) throws IOException {
    List<String> words = words(Path.of(args[0]));
    Random random = new Random(1);
    List<Row> rows = new ArrayList<>();
    for (long id = 0; id < Long.parseLong(args[1]); id++) {
      int most = Math.min(words.size(), random.nextInt(3) == 0 ? SHORT_WORDS : MOST_WORDS);
      int count = 1 + random.nextInt(most);
      int first = random.nextInt(words.size() - count + 1);
      rows.add(RowFactory.create(id, String.join(" ", words.subList(first, first + count))));
    }
    StructType schema =
        new StructType().add("id", DataTypes.LongType).add("prompt", DataTypes.StringType);
    try (SparkSession spark = SparkSession.builder().getOrCreate()) {
      spark
          .createDataFrame(rows, schema)
          .repartition(Integer.parseInt(args[3]))
          .write()
          .mode("overwrite")
          .parquet(args[2]);
    }
  }

  private static List<String> words(Path texts) throws IOException {
    ObjectMapper json = new ObjectMapper();
    StringBuilder all = new StringBuilder();
    for (String line : Files.readAllLines(texts)) {
      all.append(json.readTree(line).get("text").asText()).append(' ');
    }
    return List.of(SPACE.split(all));
  }
}
