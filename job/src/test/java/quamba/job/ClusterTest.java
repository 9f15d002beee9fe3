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
import quamba.udf.SharedFiles;

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
    return run(name, master, List.of(), more);
  }

  private Run run(String name, String master, List<String> settings, String... more)
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
    command.addAll(settings);
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
    builder.environment().merge("PATH", folder.toString(), (path, own) -> own + ":" + path);
    builder.environment().remove("CUDA_VISIBLE_DEVICES");
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

  @Test
  void tasksComputeOnTheGpuThatSparkGaveThem() throws IOException, InterruptedException {
    Files.writeString(folder.resolve("in.jsonl"), "{\"id\":1,\"prompt\":\"a\"}");
    // Of so many GPUs that no machine has the last one.
    Path list = folder.resolve("nvidia-smi");
    Files.writeString(list, "#!/bin/sh\necho 4711\n");
    assertTrue(list.toFile().setExecutable(true));
    Path script = SharedFiles.root().resolve("conf/gpus.sh");
    List<String> settings =
        List.of(
            "-Dspark.worker.resource.gpu.amount=1",
            "-Dspark.worker.resource.gpu.discoveryScript=" + script,
            "-Dspark.executor.resource.gpu.amount=1",
            "-Dspark.task.resource.gpu.amount=0.5");
    Run cluster = run("gpus", "local-cluster[1,2,1024]", settings, "--device=cuda");
    assertEquals(Main.FAILED, cluster.exitCode(), cluster.log());
    assertTrue(cluster.log().contains("cuda:4711: no CUDA device"), cluster.log());
    Run without = run("none", "local-cluster[1,1,1024]", "--device=cuda");
    assertEquals(Main.REFUSED, without.exitCode(), without.log());
    assertTrue(without.log().contains("found no spark.task.resource.gpu.amount"), without.log());
    Run local = run("local", "local[1]", settings, "--device=cuda");
    assertEquals(Main.REFUSED, local.exitCode(), local.log());
    assertTrue(local.log().contains("Spark hands out no GPUs"), local.log());
  }

  @Test
  void aStandaloneClusterMustSayHowManyCoresAnExecutorHas()
      throws IOException, InterruptedException {
    Files.writeString(folder.resolve("in.jsonl"), "{\"id\":1,\"prompt\":\"a\"}");
    Run refused = run("standalone", "spark://localhost:1");
    assertEquals(Main.REFUSED, refused.exitCode(), refused.log());
    assertTrue(refused.log().contains("spark.executor.cores: with the master"), refused.log());
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
