// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/answer.h>
#include <detente/annotate/examples.h>

#include <algorithm>
#include <utility>

namespace detente::annotate {

Examples::Examples(std::vector<Example> examples, Encoder* encoder)
    : examples_(std::move(examples)) {
  std::vector<std::string> texts;
  for (const Example& example : examples_) {
    texts.push_back(example.plain);
    normal_.push_back(normalized(example.plain));
  }
  CallKey key{-1, "@examples", 0};
  if (encoder != nullptr) vectors_ = encoder->encode(texts, key);
}

std::vector<std::size_t> Examples::usable(std::size_t task, const std::string& row) const {
  const std::string own = normalized(row);
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < examples_.size(); ++i) {
    if (examples_[i].labels[task] && normal_[i] != own) found.push_back(i);
  }
  return found;
}

std::vector<std::size_t> Examples::first(std::size_t task,
                                         std::size_t count,
                                         const std::string& row) const {
  std::vector<std::size_t> found = usable(task, row);
  found.resize(std::min(found.size(), count));
  return found;
}

std::vector<std::size_t> Examples::nearest(std::size_t task,
                                           std::size_t count,
                                           const std::string& row,
                                           std::span<const double> vector) const {
  std::vector<std::pair<double, std::size_t>> order;  // the most similar first
  for (const std::size_t i : usable(task, row)) order.emplace_back(-cosine(vectors_[i], vector), i);
  std::sort(order.begin(), order.end());
  order.resize(std::min(order.size(), count));
  std::vector<std::size_t> found;
  for (auto it = order.rbegin(); it != order.rend(); ++it) found.push_back(it->second);
  return found;
}

}  // namespace detente::annotate
