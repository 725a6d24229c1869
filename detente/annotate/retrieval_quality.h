// SPDX-License-Identifier: Apache-2.0
// How well a search finds what people said it should: recall and nDCG over judged queries.
#pragma once

#include <detente/annotate/documents.h>
#include <detente/annotate/retriever.h>
#include <detente/data/table.h>

#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace detente::annotate {

// Queries, and the files that answer each.
struct JudgedQuery {
  std::string query;
  std::set<std::string> files;
};

// Of a table with columns "query" and "file": a row for each file that answers a query; rows of one query belong
// together wherever they stand. Throws kData for a missing column, an empty cell or a file that is not among the
// documents.
std::vector<JudgedQuery> judged_queries(const data::Table& table, const Documents& documents);

// Share of the relevant that is among the first k. 0 where there is none relevant.
double recall_at(std::size_t k,
                 std::span<const std::string> ranked,
                 const std::set<std::string>& relevant);
// Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002, with relevance 0 or 1:
// DCG@k = sum over i of rel_i / log2(i + 1), divided by that of the best order. 0 where there is none relevant.
double ndcg_at(std::size_t k,
               std::span<const std::string> ranked,
               const std::set<std::string>& relevant);

// A mean over queries, with the half width of its 95 % interval (metrics::mean_interval; NaN for one query).
struct QueryMean {
  double mean = 0;
  double half_width = 0;
};

struct RetrievalQuality {
  std::size_t queries = 0;
  std::map<std::size_t, QueryMean> recall;  // at 1, 5 and 10
  QueryMean ndcg10;
};

// A file stands where its best passage does. `progress` hears of each query that is done; returns false to stop,
// and what was done until then counts.
RetrievalQuality retrieval_quality(const std::vector<JudgedQuery>& judged,
                                   const Documents& documents,
                                   const Retriever& retriever,
                                   const std::function<bool(std::size_t done)>& progress);

}  // namespace detente::annotate
