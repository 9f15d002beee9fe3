/**
 * Continuous batching: requests of all task threads of an executor share the slots of one model.
 * Entry: {@link quamba.udf.engine.Engine}. Knows ids, slots and text; nothing of tensors or Spark.
 * May import {@code model} and {@code tokenizer}.
 */
package quamba.udf.engine;
