// SPDX-License-Identifier: Apache-2.0
#include <detente/train/step_rules.h>
#include <fmt/format.h>

namespace detente::train {
namespace {

using balance::MethodClass;

bool at_features(const Recipe& recipe) {
  return recipe.balance->at_features() || recipe.engine.strategy == engine::Strategy::kFeatures;
}

std::string method_words(const Recipe& recipe) {
  return fmt::format(
      "'{}' (class {})", recipe.method, balance::name_of(recipe.balance->method_class()));
}

std::string precision_conflict(const Recipe& recipe) {
  if (recipe.precision == "float32") return "";
  const auto conflict = [&](const char* key, const char* off) {
    return fmt::format(
        "'{0}' lets parts of the model compute in a smaller type than float32; expected precision: "
        "float32 with it, got {1}. Set precision: float32 or {0}: {2}.",
        key,
        recipe.precision,
        off);
  };
  if (recipe.autocast) return conflict("autocast", "none");
  if (recipe.gram_precision) return conflict("engine.gram_precision", "same");
  return "";
}

std::string granularity_conflict(const Recipe& recipe) {
  const bool named = recipe.granularity.groups == GranularityOptions::Groups::kNamed;
  if (named && recipe.granularity.prefixes.empty()) {
    return "'engine.granularity: groups' needs 'engine.groups', a list of the beginnings of "
           "parameters' names, e.g. [embedding, layers.0].";
  }
  if (!named && !recipe.granularity.prefixes.empty()) {
    return "'engine.groups' is for 'engine.granularity: groups'; set that, or leave the list "
           "out.";
  }
  if (!recipe.granularity.by_group()) return "";
  const MethodClass kind = recipe.balance->method_class();
  if ((kind != MethodClass::kGram && kind != MethodClass::kGramLoss) || at_features(recipe)) {
    return fmt::format(
        "'engine.granularity' other than model is for methods that look at the Gram matrix of the "
        "parameters' gradients (class G or G+L); got {}{}. Methods that see losses alone answer "
        "the same for every group, the others need all parameters together. `detente methods` "
        "tells the classes.",
        method_words(recipe),
        at_features(recipe) ? " at the shared representation" : "");
  }
  if (estimates_gram(recipe)) {
    return "'engine.gram_rows' and 'engine.gram_precision' estimate the Gram matrix of the whole "
           "model, which 'engine.granularity' does not look at. Set gram_rows: 1 and "
           "gram_precision: same, or granularity: model.";
  }
  return "";
}

// A step of several parts has the gradients of the whole batch, but never its graph.
std::string micro_batch_conflict(const Recipe& recipe) {
  if (recipe.loop.micro_batches == 1) return "";
  const std::string way_out = " Set micro_batches: 1 (a smaller batch_size needs less memory).";
  if (recipe.balance->method_class() == MethodClass::kCross) {
    return fmt::format(
        "'train.micro_batches': method {} needs the gradients of two other whole batches at each "
        "step, which take the memory of whole batches.{}",
        method_words(recipe),
        way_out);
  }
  if (at_features(recipe)) {
    return "'train.micro_batches': balancing at the shared representation looks at the whole "
           "batch's at once." +
           way_out;
  }
  if (recipe.engine.memory == engine::MultiTaskOptions::Memory::kLow) {
    return "'train.micro_batches' keeps the sum of each task's gradients over the parts, which "
           "'engine.memory: low' does not do. Choose one of the two.";
  }
  if (estimates_gram(recipe)) {
    return "'train.micro_batches' forms each task's gradient in every part, so an estimate of the "
           "Gram matrix saves nothing. Set engine.gram_rows: 1 and engine.gram_precision: same.";
  }
  if (recipe.loop.curvature_every > 0) {
    return "'train.curvature_every' measures on a whole batch at once." + way_out;
  }
  return "";
}

// Gates look below the experts that they mix: there is no one tensor at which tasks meet. Known before
// the data are read.
std::string sharing_conflict(const Recipe& recipe) {
  const std::string& way = recipe.model.sharing_kind;
  if (!at_features(recipe) || (way != "mmoe" && way != "cgc" && way != "ple")) return "";
  return fmt::format(
      "'model.sharing: {}' has no one shared representation, at which {} balances: its gates look "
      "below its experts. Set model.sharing: hard or cross_stitch, or another method or strategy.",
      way,
      recipe.balance->at_features() ? method_words(recipe) : "'engine.strategy: features'");
}

}  // namespace

bool estimates_gram(const Recipe& recipe) {
  return recipe.gram_rows < 1.0 ||
         (recipe.gram_precision && recipe.gram_precision != recipe.autocast);
}

std::string step_conflict(const Recipe& recipe) {
  for (const auto rule :
       {precision_conflict, granularity_conflict, micro_batch_conflict, sharing_conflict}) {
    std::string conflict = rule(recipe);
    if (!conflict.empty()) return conflict;
  }
  return "";
}

}  // namespace detente::train
