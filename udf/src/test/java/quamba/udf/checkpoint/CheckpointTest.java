package quamba.udf.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import quamba.udf.SharedFiles;

class CheckpointTest {
  @Test
  void trainedModelsOpenUnderTheNamesOfMambaSsm() {
    for (String model : new String[] {"mamba2-5m", "mamba1-18m", "mamba2-15m", "hf-mamba"}) {
      try (Checkpoint checkpoint = Checkpoint.open(SharedFiles.shared("models/" + model))) {
        assertEquals(2, checkpoint.tensor("backbone.embedding.weight").shape().rank());
        checkpoint.names().forEach(checkpoint::tensor);
      }
    }
  }
}
