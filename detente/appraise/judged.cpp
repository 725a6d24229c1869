// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <detente/appraise/judged.h>
#include <detente/autograd/example_parts.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace detente::appraise {
namespace {

nn::Model model_as(const Subject& subject, tensor::DType dtype) {
  nn::Model model = subject.run.model->clone();
  if (dtype != tensor::parse_dtype(subject.run.recipe.precision)) {
    model.to(tensor::parse_device(subject.run.recipe.device), dtype);
  }
  return model;
}

}  // namespace

Judged::Judged(const Subject& subject, const Options& options)
    : Judged(subject, options, tensor::parse_dtype(subject.run.recipe.precision)) {}

Judged::Judged(const Subject& subject, const Options& options, tensor::DType dtype)
    : recipe(subject.run.recipe),
      model(model_as(subject, dtype)),
      n(static_cast<std::int64_t>(subject.corpus.train->size())),
      judge({recipe, subject.corpus, model, tensor::parse_device(recipe.device), dtype},
            options.rows) {}

TensorList Judged::parameters() const {
  TensorList all = model.shared_parameters();
  for (std::size_t k = 0; k < recipe.tasks.size(); ++k) {
    for (const auto& own : model.head_parameters(k)) all.push_back(own);
  }
  return all;
}

std::vector<std::string> Judged::parameter_names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : model.named_shared_parameters()) names.push_back(name);
  for (std::size_t k = 0; k < recipe.tasks.size(); ++k) {
    for (const auto& [name, tensor] : model.named_head_parameters(k)) names.push_back(name);
  }
  return names;
}

void Judged::each_batch(const std::function<bool(const data::RowList&)>& look) const {
  const std::int64_t batch = std::max<std::int64_t>(1, recipe.loop.batches.batch_size);
  for (std::int64_t begin = 0; begin < n; begin += batch) {
    data::RowList rows(static_cast<std::size_t>(std::min(n - begin, batch)));
    std::iota(rows.begin(), rows.end(), static_cast<std::size_t>(begin));
    if (!look(rows)) return;
  }
}

at::Tensor own_products(const Judged& judged,
                        const data::Source& source,
                        const data::RowList& rows,
                        const TensorList& parameters,
                        const std::vector<TensorList>& directions) {
  const std::vector<int> one_group(parameters.size(), 0);
  const train::TaskLosses losses = judged.judge.losses().of_rows(source, rows);
  autograd::ExampleParts parts(losses.predictions, parameters);
  for (const auto& loss : losses.values) parts.add(loss);
  const auto others = parts.other_products(losses.predictions, directions, one_group, 1);
  TensorList all;
  for (std::size_t m = 0; m < directions.size(); ++m) {
    at::Tensor products = (parts.products(directions[m], one_group, 1) + others[m]).squeeze(2);
    for (std::size_t k = 0; k < losses.rows.size(); ++k) {
      products[static_cast<std::int64_t>(k)].mul_(losses.rows[k]);
    }
    all.push_back(std::move(products));
  }
  return at::stack(all);
}

}  // namespace detente::appraise
