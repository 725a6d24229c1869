// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/retrieval_quality.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/metrics/paired.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace detente::annotate {
namespace {

constexpr std::size_t kCuts[] = {1, 5, 10};
constexpr std::size_t kMostRanked = 10;  // no measure looks further

QueryMean mean_of(const std::vector<double>& values) {
  const metrics::Estimate estimate = metrics::mean_interval(values);
  return {estimate.mean, (estimate.high - estimate.low) / 2};
}

// The first of them, each where its best passage stands.
std::vector<std::string> files_of(const std::vector<Hit>& hits, const Documents& documents) {
  std::vector<std::string> files;
  for (const Hit& hit : hits) {
    if (files.size() == kMostRanked) break;
    const std::string& file = documents.passages[hit.passage].file;
    if (std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
  }
  return files;
}

}  // namespace

std::vector<JudgedQuery> judged_queries(const data::Table& table, const Documents& documents) {
  const std::size_t query = table.column_index("query");
  const std::size_t file = table.column_index("file");
  std::set<std::string> known;
  for (const Passage& passage : documents.passages) known.insert(passage.file);
  std::vector<JudgedQuery> judged;
  std::unordered_map<std::string, std::size_t> place;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::string text(trim(table.cell(row, query), " \t\r\n"));
    const std::string name(trim(table.cell(row, file), " \t\r\n"));
    const auto wrong = [&](const std::string& what) {
      fail(ErrorCode::kData,
           "[annotate::judged_queries] {}, line {}: {}.",
           table.source(row),
           table.line(row),
           what);
    };
    if (text.empty()) wrong("'query' is empty; expected what is searched for");
    if (!known.contains(name)) {
      wrong("'file' is '" + name +
            "', which is none of the documents; expected a path as `detente search` prints it");
    }
    const auto [at, is_new] = place.try_emplace(text, judged.size());
    if (is_new) judged.push_back({text, {}});
    judged[at->second].files.insert(name);
  }
  return judged;
}

double recall_at(std::size_t k,
                 std::span<const std::string> ranked,
                 const std::set<std::string>& relevant) {
  if (relevant.empty()) return 0;
  std::size_t found = 0;
  for (const std::string& one : ranked.first(std::min(k, ranked.size()))) {
    found += relevant.contains(one) ? 1 : 0;
  }
  return static_cast<double>(found) / static_cast<double>(relevant.size());
}

double ndcg_at(std::size_t k,
               std::span<const std::string> ranked,
               const std::set<std::string>& relevant) {
  const auto discount = [](std::size_t place) {
    return 1.0 / std::log2(static_cast<double>(place) + 2.0);
  };
  double gain = 0;
  double best = 0;
  for (std::size_t i = 0; i < std::min(k, ranked.size()); ++i) {
    if (relevant.contains(ranked[i])) gain += discount(i);
  }
  for (std::size_t i = 0; i < std::min(k, relevant.size()); ++i) best += discount(i);
  return best > 0 ? gain / best : 0;
}

RetrievalQuality retrieval_quality(const std::vector<JudgedQuery>& judged,
                                   const Documents& documents,
                                   const Retriever& retriever,
                                   const std::function<bool(std::size_t done)>& progress) {
  std::map<std::size_t, std::vector<double>> recall;
  std::vector<double> ndcg;
  CallKey key{-1, "@queries", 0};
  for (const JudgedQuery& one : judged) {
    const auto hits = retriever.search(one.query, documents.passages.size(), key);
    const std::vector<std::string> ranked = files_of(hits, documents);
    for (const std::size_t k : kCuts) recall[k].push_back(recall_at(k, ranked, one.files));
    ndcg.push_back(ndcg_at(kMostRanked, ranked, one.files));
    if (!progress(ndcg.size())) break;
  }
  RetrievalQuality quality;
  quality.queries = ndcg.size();
  if (ndcg.empty()) return quality;
  for (const auto& [k, values] : recall) quality.recall[k] = mean_of(values);
  quality.ndcg10 = mean_of(ndcg);
  return quality;
}

}  // namespace detente::annotate
