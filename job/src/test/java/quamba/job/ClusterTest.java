package quamba.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole program as a process of its own, with executors that are processes of their own. */
class ClusterTest {
  /** In every prompt; must be in no log. */
  private static final String CANARY = "Xylophage";

  private static final String MODULES =
      "--add-modules=jdk.incubator.vector --add-opens=java.base/java.nio=ALL-UNNAMED"
          + " --add-opens=java.base/sun.nio.ch=ALL-UNNAMED"
          + " --add-opens=java.base/java.lang.invoke=ALL-UNNAMED"
          + " --add-opens=java.base/java.util=ALL-UNNAMED";

  @TempDir Path folder;

  /** A run of the program. */
  private record Run(int exitCode, String log) {}

  private Run run(String name, String master, String... more)
      throws IOException, InterruptedException {
    Path spark = folder.resolve("spark");
    Files.createDirectories(spark.resolve("jars"));
    String classPath =
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    Path log = folder.resolve(name + ".log");
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of(MODULES.split(" ", -1)));
    command.addAll(
        List.of(
            "-Xmx1g",
            "-Dspark.master=" + master,
            "-Dspark.app.name=quamba",
            "-Dspark.plugins=quamba.udf.ModelPlugin",
            "-Dspark.ui.enabled=false",
            "-Dspark.executor.memory=1g",
            "-Dspark.executor.extraClassPath=" + classPath,
            "-Dspark.executor.extraJavaOptions=" + MODULES,
            "-Dspark.eventLog.enabled=true",
            "-Dspark.eventLog.compress=false",
            "-Dspark.eventLog.dir=" + folder,
            "-Dspark.sql.shuffle.partitions=4"));
    command.add("quamba.job.Main");
    command.addAll(
        List.of(
            "generate",
            "--model=" + TestFiles.model(),
            "--input=" + folder.resolve("in.jsonl"),
            "--output=" + folder.resolve(name),
            "--format=json",
            "--prompt-column=prompt",
            "--key=id",
            "--temperature=0.8"));
    command.addAll(List.of(more));
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .directory(folder.toFile())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile());
    builder.environment().put("SPARK_HOME", spark.toString());
    builder.environment().put("SPARK_SCALA_VERSION", "2.13");
    builder.environment().put("SPARK_LOCAL_IP", "127.0.0.1");
    builder.environment().put("CLASSPATH", classPath);
    Process process = builder.start();
    try {
      assertTrue(process.waitFor(5, TimeUnit.MINUTES), "the program hangs");
    } finally {
      process.destroyForcibly();
    }
    return new Run(process.exitValue(), Files.readString(log));
  }

  private static Map<String, String> texts(Path output) {
    Map<String, String> texts = new TreeMap<>();
    for (JsonNode row : TestFiles.rows(output)) {
      texts.put(
          row.get("id") + " " + row.get("prompt"),
          row.get("generation").asText() + row.get("generation_error").path("class").asText());
    }
    return texts;
  }

  @Test
  void sameTextsOnTwoExecutors() throws IOException, InterruptedException {
    List<String> lines = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      String prompt = i % 10 == 9 ? "[\"" + CANARY + "\"]" : "\"" + CANARY + " " + i + ".\"";
      lines.add("{\"id\":%d,\"prompt\":%s}".formatted(i % 39, prompt));
    }
    Files.write(folder.resolve("in.jsonl"), lines);
    Run cluster = run("cluster", "local-cluster[2,1,1024]", "--max-tokens=8", "--slots=3");
    assertEquals(Main.OK, cluster.exitCode(), cluster.log());
    assertTrue(cluster.log().contains("rows: "), cluster.log());
    Run local = run("local", "local[2]", "--max-tokens=8", "--weights=path");
    assertEquals(Main.OK, local.exitCode(), local.log());
    Map<String, String> texts = texts(folder.resolve("cluster"));
    assertEquals(40, texts.size());
    assertEquals(texts(folder.resolve("local")), texts);
    assertNoCanary();
    Run refused = run("cluster", "local[1]", "--max-tokens=0");
    assertEquals(Main.REFUSED, refused.exitCode(), refused.log());
    assertTrue(refused.log().contains("max_tokens must be 1 or more"), refused.log());
  }

  /** Logs of the driver, of the executors, and Spark's own record of what happened. */
  private void assertNoCanary() throws IOException {
    int files = 0;
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path file : all.filter(Files::isRegularFile).toList()) {
        String name = folder.relativize(file).toString();
        if (!name.equals("in.jsonl")
            && !name.startsWith("cluster/")
            && !name.startsWith("local/")) {
          files++;
          String text = Files.readString(file, StandardCharsets.ISO_8859_1);
          assertFalse(text.contains(CANARY), name);
        }
      }
    }
    assertTrue(files > 4, "logs of executors are missing");
  }
}
