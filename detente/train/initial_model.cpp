// SPDX-License-Identifier: Apache-2.0
#include <detente/report/run_data.h>
#include <detente/text/ppmi.h>
#include <detente/train/initial_model.h>
#include <detente/train/step_draws.h>

#include <algorithm>
#include <cmath>

namespace detente::train {
namespace {

std::vector<std::vector<std::int32_t>> all_sentences(const data::PairData& data) {
  std::vector<std::vector<std::int32_t>> sentences = data.ids_a;
  sentences.insert(sentences.end(), data.ids_b.begin(), data.ids_b.end());
  return sentences;
}

void set_extra_scale(const data::PairData& data, nn::PairModel& model) {
  std::vector<double> means(data.features.cols());
  std::vector<double> deviations(data.features.cols());
  const auto rows = static_cast<double>(data.size());
  for (std::size_t j = 0; j < means.size(); ++j) {
    for (std::size_t i = 0; i < data.size(); ++i) means[j] += data.features(i, j) / rows;
    for (std::size_t i = 0; i < data.size(); ++i) {
      const double difference = data.features(i, j) - means[j];
      deviations[j] += difference * difference / rows;
    }
    deviations[j] = std::sqrt(deviations[j]);
  }
  model.set_extra_scale(means, deviations);
}

void set_ppmi_embedding(const Recipe& recipe, const Corpus& corpus, nn::PairModel& model) {
  text::PpmiOptions options;
  options.width = static_cast<std::size_t>(recipe.model.options.width);
  options.window = static_cast<std::size_t>(recipe.model.ppmi_window);
  options.ids_per_token = corpus.tokenizer->ids_per_token();
  Rng rng = step_rng(recipe.seed, kEmbeddingStream, 0);
  model.set_embedding(
      text::ppmi_embedding(all_sentences(corpus.train), corpus.tokenizer->size(), options, rng));
}

}  // namespace

std::unique_ptr<nn::PairModel> make_model(const Recipe& recipe,
                                          const text::Tokenizer& tokenizer,
                                          const text::IdfTable& idf) {
  std::vector<nn::TaskHead> heads;
  for (const TaskRecipe& task : recipe.tasks) heads.push_back({task.name, task.head});
  const nn::Vocabulary vocabulary{static_cast<std::int64_t>(tokenizer.size()),
                                  static_cast<std::int64_t>(tokenizer.ids_per_token()),
                                  tokenizer.special().pad,
                                  tokenizer.special().cls,
                                  tokenizer.special().sep};
  auto model = std::make_unique<nn::PairModel>(recipe.model.options,
                                               vocabulary,
                                               std::move(heads),
                                               static_cast<std::uint64_t>(recipe.seed),
                                               extra_feature_count(recipe));
  if (recipe.model.options.pooling == nn::PairModelOptions::Pooling::kIdf) {
    // A token of every sentence weighs ln((1 + n) / (1 + n)) = 0, not the 1 of IdfTable.
    std::vector<double> weights = idf.values();
    for (double& weight : weights) weight = std::max(0.0, weight - 1.0);
    model->set_token_weights(weights);
  }
  return model;
}

void start_from_data(const Recipe& recipe, const Corpus& corpus, nn::PairModel& model) {
  set_extra_scale(corpus.train, model);
  for (std::size_t k = 0; k < corpus.train.targets.size(); ++k) {
    model.set_initial_prediction(k, report::finite_mean(corpus.train.targets[k].values));
  }
  if (recipe.model.embedding_init == ModelRecipe::EmbeddingInit::kPpmi) {
    set_ppmi_embedding(recipe, corpus, model);
  }
}

}  // namespace detente::train
