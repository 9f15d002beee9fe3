/**
 * How well a model foretells given texts, and how far it is from a reference. Entry: {@link
 * quamba.udf.evaluation.Evaluator}. May import quamba.udf.model. Sums are per text and in the order
 * of its tokens, so that no partitioning changes them.
 */
package quamba.udf.evaluation;
