// SPDX-License-Identifier: Apache-2.0
// Which passages go with a query: exact top-k, by words (BM25) or by vectors (cosine).
#pragma once

#include <detente/annotate/bm25.h>
#include <detente/annotate/documents.h>
#include <detente/annotate/encoder.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace detente::annotate {

struct Hit {
  std::size_t passage = 0;
  double score = 0;
};

// The `count` greatest scores above 0, the greatest first; equal ones in the order of the passages.
std::vector<Hit> best_hits(const std::vector<double>& scores, std::size_t count);

class Retriever {
 public:
  virtual ~Retriever() = default;
  // At most `count`; passages that have nothing of the query are none. `key` as in Encoder::encode. Threads may call.
  virtual std::vector<Hit> search(const std::string& query,
                                  std::size_t count,
                                  CallKey& key) const = 0;
};

// Passages without a word of the query are no hits.
std::unique_ptr<Retriever> word_retriever(const Documents& documents);

// Vectors of the passages, from `file` where it is there: an index of another encoder is kData, one of
// other passages is made anew. Else they are made and, unless `file` is empty, kept there. Passages whose cosine is at most
// 0 are no hits.
//
//   {"format": "detente-index-1", "encoder": "...", "passages": "<hash>", "vectors": [[...], ...]}
std::unique_ptr<Retriever> vector_retriever(const Documents& documents,
                                            Encoder& encoder,
                                            const std::filesystem::path& file,
                                            const Progress& progress = {});

}  // namespace detente::annotate
