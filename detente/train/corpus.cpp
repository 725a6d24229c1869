// SPDX-License-Identifier: Apache-2.0
#include <detente/data/table.h>
#include <detente/train/corpus.h>
#include <torch/types.h>

namespace detente::train {
namespace {

data::PairOptions pair_options(const Recipe& recipe, const std::filesystem::path& cache) {
  data::PairOptions options;
  options.text_a = recipe.data.text_a;
  options.text_b = recipe.data.text_b;
  options.max_length = static_cast<std::size_t>(recipe.model.options.max_length);
  options.lexical = recipe.model.lexical_features;
  if (recipe.data.cache) options.cache = cache;
  for (const TaskRecipe& task : recipe.tasks) options.targets.push_back(task.target());
  return options;
}

}  // namespace

Corpus load_corpus(const Recipe& recipe, const std::filesystem::path& cache) {
  const data::Table train = data::Table::read(recipe.data.train, recipe.data.format);
  const data::Table dev = data::Table::read(recipe.data.dev, recipe.data.format);
  data::PairOptions options = pair_options(recipe, cache);
  options.max_rows = static_cast<std::size_t>(recipe.data.max_rows);

  Corpus corpus;
  corpus.tokenizer = text::make_tokenizer(recipe.tokenizer, data::training_texts(train, options));
  options.fit_idf = &corpus.idf;
  corpus.train = data::load_pairs(train, options, *corpus.tokenizer);
  corpus.dev = load_rows(recipe, dev, *corpus.tokenizer, corpus.idf, cache, true);
  return corpus;
}

data::PairData load_rows(const Recipe& recipe,
                         const data::Table& table,
                         const text::Tokenizer& tokenizer,
                         const text::IdfTable& idf,
                         const std::filesystem::path& cache,
                         bool targets) {
  data::PairOptions options = pair_options(recipe, cache);
  if (!targets) options.targets.clear();
  options.idf = &idf;
  return data::load_pairs(table, options, tokenizer);
}

std::int64_t extra_feature_count(const Recipe& recipe) {
  if (!recipe.model.lexical_features) return 0;
  // idf_overlap and tfidf_cosine come with the document frequencies.
  return static_cast<std::int64_t>(text::lexical_feature_names().size()) + 2;
}

nn::PairBatch make_pair_batch(const data::PairData& data, std::span<const std::size_t> rows) {
  nn::PairBatch batch;
  batch.first.reserve(rows.size());
  batch.second.reserve(rows.size());
  const std::size_t extra = data.features.cols();
  batch.extra.reserve(rows.size() * extra);
  for (const std::size_t row : rows) {
    batch.first.emplace_back(data.ids_a[row]);
    batch.second.emplace_back(data.ids_b[row]);
    for (std::size_t j = 0; j < extra; ++j) {
      batch.extra.push_back(static_cast<float>(data.features(row, j)));
    }
  }
  return batch;
}

TensorList make_targets(const data::PairData& data,
                        std::span<const std::size_t> rows,
                        tensor::Device device,
                        tensor::DType dtype) {
  TensorList targets;
  for (const data::Target& target : data.targets) {
    at::Tensor values = torch::empty({static_cast<std::int64_t>(rows.size())}, torch::kFloat64);
    double* out = values.data_ptr<double>();
    for (const std::size_t row : rows) *out++ = target.values[row];
    targets.push_back(values.to(tensor::tensor_options(device, dtype)));
  }
  return targets;
}

}  // namespace detente::train
